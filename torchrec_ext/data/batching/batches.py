"""Batcher: examples to Batches by slices of flat columns, without per-row Python."""

from collections.abc import Mapping

import numpy as np
import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
from torchrec.streamable import Pipelineable

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.spread import spread
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.lists import Lists
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import Slices, offsets_of

Pipelineable.register(Batch)  # here, so that batch.py imports with torch alone

Jagged = tuple[np.ndarray, np.ndarray]
"""Flat integer values and lengths; they become int64 where they are laid side by side."""

Context = Mapping[str, np.ndarray | Lists]
"""Of each context feature B integer rows, lists of them or float32 numbers; one that is absent is unknown."""


class Batcher:
    """Builds what a model wants in its batches from a log of known events.

    Ids that training has not learnt from are looked up in the unknown row; side features are those of the id.

    Args:
        preparation: side features and tables.
        known: the events that histories are slices of.
        inputs: what the model wants.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> events = read_events(pd.DataFrame({"user": [1] * 5, "item": list("abcde")}))
        >>> train, valid, test = leave_last_out(events)  # a, b, c are for training
        >>> batcher = Batcher(train.preparation, train.events, Inputs(max_length=2))
        >>> batcher.queries(users=np.array([0]), ends=np.array([3])).sequences.to_dict()["history"].values()
        tensor([2, 3])
    """

    def __init__(self, preparation: Preparation, known: EventLog, inputs: Inputs) -> None:
        self.preparation = preparation
        self._known = preparation.trained.or_unknown
        self.known = known
        self.inputs = inputs
        schema = preparation.schema
        # whatever the log keeps, in memory or mapped from a file: a plain view of it is quicker to read
        self._items = np.asarray(known.items)
        self._times = None if known.times is None else np.asarray(known.times)
        self._entities = {f.name: f.entity for f in schema.features} | {
            d.name: d.entity for d in schema.dense
        }
        self._context = [n for n in (*inputs.fields, *inputs.dense) if self._entities[n] == "context"]

    def context(self, log: EventLog, events: np.ndarray) -> Context:
        """The context, as far as the model reads it, of (B,) events of a log."""
        return {name: log.context[name][events] for name in self._context if name in log.context}

    def batch(
        self,
        users: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        *,
        items: np.ndarray | None = None,
        context: Context | None = None,
        candidates: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        log_q: np.ndarray | None = None,
        total: float | None = None,
    ) -> Batch:
        """One batch of B examples; of none, ``sequences`` have one slot, which holds the candidates.

        Args:
            users: (B,) int64 users of the log.
            starts: (B,) int64 first event of the history in the log.
            ends: (B,) int64 end of the history, exclusive.
            items: (B,) int64 item rows, for pairs of user and item.
            context: (B,) rows or values of each context feature.
            candidates: (C,) int64 item rows shared by the batch.
            labels: see :class:`~torchrec_ext.batch.Batch`.
            weights: of the labels, or None for ones.
            log_q: (C,) float32 log-probabilities of the candidates.
            total: weight of the labels of the global batch.
        """
        size = len(users)
        rows = {
            "user": self.known.user_rows[users] if len(self.known.user_rows) else np.zeros_like(users),
            "item": np.zeros_like(users) if items is None else items,
        }
        fields = {name: self._field(name, rows, context or {}) for name in self.inputs.fields}
        numbers = [self._number(name, rows, context or {}) for name in self.inputs.dense]
        sequences: dict[str, Jagged] = {}
        times = None
        of_events: dict[str, np.ndarray] = {}
        if self.inputs.max_length:
            slices = Slices(starts, ends)
            sequences["history"] = self._known("item", slices.of(self._items)), slices.lengths
            times = None if self._times is None else slices.of(self._times)
            found, of_events = self._features_of_events(slices)
            sequences |= found
        lengths: dict[str, np.ndarray] = {}
        slots = size
        if self.inputs.candidates:
            chosen = np.zeros(0, np.int64) if candidates is None else candidates
            slots = size or min(len(chosen), 1)  # without an example, a slot has to hold the candidates
            found, lengths = self._candidates(chosen, slots)
            sequences |= found
        return Batch(
            fields=_keyed(fields, size),
            sequences=_keyed(sequences, slots),
            dense=_columns(numbers, size),
            history_times=_tensor(times, np.float64),
            history_lengths={name: torch.from_numpy(n) for name, n in of_events.items()},
            candidate_lengths={name: torch.from_numpy(n) for name, n in lengths.items()},
            candidate_dense=self._candidate_numbers(candidates),
            labels=_tensor(labels),
            weights=_tensor(weights),
            log_q=_tensor(log_q),
            total=None if total is None else torch.tensor(total, dtype=torch.float64),
        )

    def queries(self, users: np.ndarray, ends: np.ndarray, context: Context | None = None) -> Batch:
        """A batch of B users with the newest of their known events.

        Args:
            users: (B,) int64 users of the log.
            ends: (B,) int64 end of each user's known events, exclusive.
            context: (B,) rows or values of each context feature.
        """
        return self.batch(users, self._starts(users, ends), ends, context=context)

    def pairs(
        self,
        users: np.ndarray,
        ends: np.ndarray,
        items: np.ndarray,
        context: Context | None = None,
        *,
        labels: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        total: float | None = None,
    ) -> Batch:
        """A batch of B pairs of user and item; if the model wants candidates, each pair's item is one.

        Args:
            users: (B,) int64 users of the log.
            ends: (B,) int64 end of each user's known events, exclusive.
            items: (B,) int64 item rows.
            context: (B,) rows or values of each context feature.
            labels: (B, tasks) float32.
            weights: (B, tasks) float32 weights of the labels, or None for ones.
            total: weight of the labels of the global batch.
        """
        return self.batch(
            users,
            self._starts(users, ends),
            ends,
            items=items,
            context=context,
            candidates=items if self.inputs.candidates else None,
            labels=labels,
            weights=weights,
            total=total,
        )

    def items(self, rows: np.ndarray) -> Batch:
        """A batch of (C,) int64 item rows to encode, in one empty example."""
        none = np.zeros(1, np.int64)
        return self.batch(none, none, none, candidates=rows)

    def _starts(self, users: np.ndarray, ends: np.ndarray) -> np.ndarray:
        return self.known.recent(users, ends, self.inputs.max_length)

    def _field(self, name: str, rows: Mapping[str, np.ndarray], context: Context) -> Jagged:
        entity = self._entities[name]
        if entity == "context":
            found = context.get(name, np.zeros_like(rows["user"]))
            return (found.values, found.lengths) if isinstance(found, Lists) else (found, np.ones_like(found))
        if name == entity:
            return self._known(entity, rows[entity]), np.ones_like(rows[entity])
        return self.preparation.sides[entity].ids(name, rows[entity])

    def _number(self, name: str, rows: Mapping[str, np.ndarray], context: Context) -> np.ndarray:
        entity = self._entities[name]
        if entity == "context":
            found = context.get(name)
            assert not isinstance(found, Lists)  # a numeric feature
            shape = (len(rows["user"]), self.preparation.schema.dense_width([name]))
            return np.zeros(shape, np.float32) if found is None else found
        return self.preparation.sides[entity].dense[name][rows[entity]]

    def _features_of_events(self, slices: Slices) -> tuple[dict[str, Jagged], dict[str, np.ndarray]]:
        """Features of the histories' events, and the number of ids of each event where it is not one."""
        found: dict[str, Jagged] = {}
        numbers: dict[str, np.ndarray] = {}
        for name in self.inputs.history_fields:
            column = self.known.context[name]
            if isinstance(column, Lists):
                flat = Slices(column.offsets[slices.starts], column.offsets[slices.ends])
                found[f"history_{name}"] = flat.of(np.asarray(column.values)), flat.lengths
                numbers[name] = slices.of(column.lengths)
            else:
                found[f"history_{name}"] = slices.of(np.asarray(column)), slices.lengths
        return found, numbers

    def _candidates(self, rows: np.ndarray, size: int) -> tuple[dict[str, Jagged], dict[str, np.ndarray]]:
        """Candidates and their side features spread over the slots, and each candidate's number of ids."""
        places = spread(len(rows), size)
        found = {"candidates": (self._known("item", rows), np.diff(places))}
        lengths: dict[str, np.ndarray] = {}
        for name in self.inputs.candidate_fields:
            values, numbers = self.preparation.sides["item"].ids(name, rows)
            lengths[name] = numbers.astype(np.int64, copy=False)
            found[f"candidates_{name}"] = values, np.diff(offsets_of(lengths[name])[places])
        return found, lengths

    def _candidate_numbers(self, rows: np.ndarray | None) -> torch.Tensor | None:
        if not self.inputs.candidate_dense:
            return None
        chosen = np.zeros(0, np.int64) if rows is None else rows
        dense = self.preparation.sides["item"].dense
        return _columns([dense[name][chosen] for name in self.inputs.candidate_dense], len(chosen))


def _columns(numbers: list[np.ndarray], rows: int) -> torch.Tensor:
    """(rows, sum of widths) float32 of columns of numbers or of vectors."""
    if not numbers:
        return torch.zeros(rows, 0)
    return torch.from_numpy(np.column_stack(numbers).astype(np.float32, copy=False))


def _tensor(values: np.ndarray | None, dtype: type[np.generic] | None = None) -> torch.Tensor | None:
    if values is None:
        return None
    return torch.from_numpy(values if dtype is None else values.astype(dtype, copy=False))


def _keyed(features: Mapping[str, Jagged], stride: int) -> KeyedJaggedTensor:
    return KeyedJaggedTensor(
        keys=list(features),
        values=_joined([values for values, _ in features.values()]),
        lengths=_joined(
            [lengths if len(lengths) else np.zeros(stride, np.int64) for _, lengths in features.values()]
        ),
        stride=stride,
    )


def _joined(parts: list[np.ndarray]) -> torch.Tensor:
    """int64, whatever the parts are: one pass casts and joins them."""
    if not parts:
        return torch.zeros(0, dtype=torch.int64)
    return torch.from_numpy(np.concatenate(parts, dtype=np.int64))
