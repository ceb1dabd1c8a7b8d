"""Batcher: examples to Batches by slices of flat columns, without per-row Python."""

from typing import Any

import numpy as np
import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
from torchrec.streamable import Pipelineable

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import slice_positions

Pipelineable.register(Batch)  # here, so that batch.py imports with torch alone

Jagged = tuple[np.ndarray, np.ndarray]
"""Flat values and lengths."""


class Batcher:
    """Builds what a model wants in its batches from a log of known events.

    Args:
        preparation: side features and tables.
        known: the events that histories are slices of.
        inputs: what the model wants.
    """

    def __init__(self, preparation: Preparation, known: EventLog, inputs: Inputs) -> None:
        self.preparation = preparation
        self.known = known
        self.inputs = inputs

    def batch(
        self,
        users: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        *,
        items: np.ndarray | None = None,
        context: dict[str, np.ndarray] | None = None,
        candidates: np.ndarray | None = None,
        **targets: np.ndarray | float | None,
    ) -> Batch:
        """One batch of B examples.

        Args:
            users: (B,) int64 users of the log.
            starts: (B,) int64 first event of the history in the log.
            ends: (B,) int64 end of the history, exclusive.
            items: (B,) int64 item rows, for pairs of user and item.
            context: (B,) rows or values of each context feature; unknown where absent.
            candidates: (C,) int64 item rows shared by the batch.
            targets: ``labels``, ``weights``, ``log_q`` and ``total`` of the batch.
        """
        size = len(users)
        pooled = [self._field(name, users, items, context or {}) for name in self.inputs.fields]
        dense = [self._number(name, users, items, context or {}) for name in self.inputs.dense]
        sequences, lengths, candidate_dense = self._sequences(size, starts, ends, candidates)
        times = self.known.times if self.inputs.max_length else None
        return Batch(
            fields=_keyed(dict(zip(self.inputs.fields, pooled, strict=True)), size),
            sequences=_keyed(sequences, size),
            dense=torch.from_numpy(np.stack(dense, 1) if dense else np.zeros((size, 0), np.float32)),
            history_times=None if times is None else torch.from_numpy(times[slice_positions(starts, ends)]),
            candidate_lengths={name: torch.from_numpy(v) for name, v in lengths.items()},
            candidate_dense=candidate_dense,
            **{name: _tensor(value) for name, value in targets.items()},
        )

    def queries(self, users: np.ndarray, ends: np.ndarray, context: dict[str, np.ndarray] | None = None) -> Batch:
        """A batch of users whose known events end before ``ends``; both (B,) int64."""
        return self.batch(users, self._starts(users, ends), ends, context=context)

    def pairs(
        self,
        users: np.ndarray,
        ends: np.ndarray,
        items: np.ndarray,
        context: dict[str, np.ndarray] | None = None,
        **targets: np.ndarray | float | None,
    ) -> Batch:
        """A batch of (user, item) pairs; all (B,) int64."""
        return self.batch(
            users, self._starts(users, ends), ends, items=items, context=context,
            candidates=items if self.inputs.candidates else None, **targets,
        )  # fmt: skip

    def items(self, rows: np.ndarray) -> Batch:
        """A batch of (C,) int64 item rows to encode, in one empty example."""
        none = np.zeros(1, np.int64)
        return self.batch(none, none, none, candidates=rows)

    def _starts(self, users: np.ndarray, ends: np.ndarray) -> np.ndarray:
        return self.known.recent(users, ends, self.inputs.max_length)

    def _field(self, name: str, users: np.ndarray, items: np.ndarray | None, context: dict) -> Jagged:
        feature = self.preparation.schema.feature(name)
        rows = {
            "user": self.known.user_rows[users] if len(self.known.user_rows) else np.zeros_like(users),
            "item": np.zeros_like(users) if items is None else items,
            "context": context.get(name, np.zeros_like(users)),
        }[feature.entity]
        if feature.entity == "context" or name == feature.entity:
            return rows, np.ones(len(users), np.int64)
        return self.preparation.sides[feature.entity].ids(name, rows)

    def _number(self, name: str, users: np.ndarray, items: np.ndarray | None, context: dict) -> np.ndarray:
        entity = next(d.entity for d in self.preparation.schema.dense if d.name == name)
        if entity == "context":
            return context.get(name, np.zeros(len(users), np.float32))
        rows = self.known.user_rows[users] if entity == "user" else items
        return self.preparation.sides[entity].dense[name][np.zeros_like(users) if rows is None else rows]

    def _sequences(
        self, size: int, starts: np.ndarray, ends: np.ndarray, candidates: np.ndarray | None
    ) -> tuple[dict[str, Jagged], dict[str, np.ndarray], torch.Tensor | None]:
        found: dict[str, Jagged] = {}
        lengths: dict[str, np.ndarray] = {}
        if self.inputs.max_length:
            found["history"] = (self.known.items[slice_positions(starts, ends)], ends - starts)
        if not self.inputs.candidates:
            return found, lengths, None
        rows = np.zeros(0, np.int64) if candidates is None else candidates
        spread = _spread(len(rows), size)
        found["candidates"] = (rows, np.diff(spread))
        side = self.preparation.sides["item"]
        for name in self.inputs.candidate_fields:
            values, lengths[name] = side.ids(name, rows)
            flat = np.concatenate([[0], np.cumsum(lengths[name])])
            found[f"candidates_{name}"] = (values, np.diff(flat[spread]))
        numbers = [side.dense[name][rows] for name in self.inputs.candidate_dense]
        return found, lengths, torch.from_numpy(np.stack(numbers, 1)) if numbers else None


def _spread(count: int, slots: int) -> np.ndarray:
    """(slots + 1,) offsets that lay ``count`` values evenly over the slots."""
    return np.arange(slots + 1) * count // max(slots, 1)


def _keyed(features: dict[str, Jagged], stride: int) -> KeyedJaggedTensor:
    values = [np.asarray(v, np.int64) for v, _ in features.values()]
    lengths = [np.asarray(n, np.int64) for _, n in features.values()]
    return KeyedJaggedTensor(
        keys=list(features),
        values=torch.from_numpy(np.concatenate(values) if values else np.zeros(0, np.int64)),
        lengths=torch.from_numpy(np.concatenate(lengths) if lengths else np.zeros(0, np.int64)),
        stride=stride,
    )


def _tensor(value: Any) -> torch.Tensor | None:
    if value is None or isinstance(value, torch.Tensor):
        return value
    return torch.as_tensor(value)
