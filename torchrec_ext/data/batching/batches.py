"""Batcher: examples to Batches by slices of flat columns, without per-row Python."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.matching_events import matching_events
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import FlatColumn, Slices, flat_and_lengths, offsets_of, take_rows
from torchrec_ext.plain_jagged import PlainKeyedJaggedTensor

_keyed_ids: Any
try:
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
    from torchrec.streamable import Pipelineable

    _keyed_ids = KeyedJaggedTensor
    Pipelineable.register(Batch)  # here, so that batch.py imports with torch alone
except ModuleNotFoundError:  # a bundle is served without TorchRec
    _keyed_ids = PlainKeyedJaggedTensor

Jagged = tuple[np.ndarray, np.ndarray]
"""Flat integer values and lengths."""

Context = Mapping[str, FlatColumn]
"""Of each context feature B integer rows, lists of them or float32 numbers; one that is absent is unknown."""


def take_context(context: Context | None, rows: np.ndarray) -> Context:
    """The context of (n,) rows, in their order."""
    return {name: take_rows(column, rows) for name, column in (context or {}).items()}


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
        >>> train = leave_last_out(events)[0]  # a, b, c are for training
        >>> batcher = Batcher(train.preparation, train.events, Inputs(max_length=2))
        >>> batcher.queries(users=np.array([0]), ends=np.array([3])).sequences.to_dict()["history"].values()
        tensor([2, 3])
    """

    def __init__(self, preparation: Preparation, known: EventLog, inputs: Inputs) -> None:
        self.preparation, self.known, self.inputs = preparation, known, inputs
        self._or_unknown = preparation.trained.or_unknown
        self._items = np.asarray(known.items)  # a plain view of a mapped file is quicker to read
        self._times = None if known.times is None else np.asarray(known.times)
        self._entities = {f.name: f.entity for f in preparation.schema.of("user", "item", "context")}
        self._history = {
            name: _views(known.context[name])
            for name in inputs.history_fields
            if self._entities[name] == "context"
        }
        self._tables = {f.name: f.table for f in preparation.schema.features}
        self._context = [n for n in (*inputs.fields, *inputs.dense) if self._entities[n] == "context"]

    def starts(self, users: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """(B,) int64 first events of the histories of users before ``ends`` that the model reads."""
        return self.known.recent(users, ends, self.inputs.max_length)

    def context(self, log: EventLog, events: np.ndarray) -> Context:
        """The context, as far as the model reads it, of (B,) events of a log."""
        return take_context({n: log.context[n] for n in self._context if n in log.context}, events)

    def batch(
        self,
        users: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        *,
        items: np.ndarray | None = None,
        context: Context | None = None,
        candidates: np.ndarray | None = None,
        total: float | None = None,
        **learnt: np.ndarray | None,
    ) -> Batch:
        """One batch of B examples; of none, ``sequences`` have one slot, which holds the candidates.

        Args:
            users: (B,) int64 users of the log.
            starts: (B,) int64 first event of the history in the log.
            ends: (B,) int64 end of the history, exclusive.
            items: (B,) int64 item rows, for pairs of user and item.
            context: (B,) rows or values of each context feature.
            candidates: (C,) int64 item rows shared by the batch.
            total: weight of the labels of the global batch.
            learnt: ``labels``, ``weights`` and ``log_q``, see :class:`~torchrec_ext.batch.Batch`.
        """
        context, none, of_users = context or {}, np.zeros_like(users), self.known.user_rows
        rows = {"user": of_users[users] if len(of_users) else none, "item": none if items is None else items}
        sequences: dict[str, Jagged] = {}
        history_lengths: dict[str, torch.Tensor] = {}
        candidate_lengths: dict[str, torch.Tensor] = {}
        times, chosen = None, np.zeros(0, np.int64) if candidates is None else candidates
        matches: np.ndarray | None = None
        if self.inputs.max_length:
            slices = Slices(starts, ends)
            history = slices.of(self._items)
            sequences["history"] = self._or_unknown("item", history), slices.lengths
            times = None if self._times is None else slices.of(self._times)
            for name in self.inputs.history_fields:
                values, lengths, counts = self._of_events(name, slices, history)
                sequences[f"history_{name}"] = self._or_unknown(self._tables[name], values), lengths
                if counts is not None:
                    history_lengths[name] = torch.from_numpy(counts)
            if self.inputs.match is not None:
                ids = self.preparation.sides["item"].ids
                of_both = (ids(self.inputs.match, rows) for rows in (history, chosen))
                matches = matching_events(slices.lengths, *of_both)
        size = slots = len(users)
        if self.inputs.candidates:
            slots = size or min(len(chosen), 1)  # without an example, a slot has to hold the candidates
            bounds = np.arange(slots + 1) * len(chosen) // max(slots, 1)  # evenly
            sequences["candidates"] = self._or_unknown("item", chosen), np.diff(bounds)
            for name in self.inputs.candidate_fields:
                values, counts = self.preparation.sides["item"].ids(name, chosen)
                sequences[f"candidates_{name}"] = (
                    self._or_unknown(self._tables[name], values),
                    np.diff(offsets_of(counts)[bounds]),
                )
                candidate_lengths[name] = torch.from_numpy(counts)
        dense = self.preparation.sides["item"].dense
        of_candidates = [dense[name][chosen] for name in self.inputs.candidate_dense]
        return Batch(
            fields=_keyed({name: self._field(name, rows, context) for name in self.inputs.fields}, size),
            sequences=_keyed(sequences, slots),
            dense=_side_by_side([self._number(name, rows, context) for name in self.inputs.dense], size),
            history_times=None if times is None else torch.from_numpy(times),
            history_lengths=history_lengths,
            history_matches=None if matches is None else torch.from_numpy(matches),
            candidate_lengths=candidate_lengths,
            candidate_dense=_side_by_side(of_candidates, len(chosen)) if of_candidates else None,
            total=None if total is None else torch.tensor(total, dtype=torch.float64),
            **{name: torch.from_numpy(found) for name, found in learnt.items() if found is not None},
        )

    def queries(self, users: np.ndarray, ends: np.ndarray, context: Context | None = None) -> Batch:
        """The :meth:`batch` of B users with their newest events before ``ends``."""
        return self.batch(users, self.starts(users, ends), ends, context=context)

    def pairs(
        self,
        users: np.ndarray,
        ends: np.ndarray,
        items: np.ndarray,
        context: Context | None = None,
        **learnt: Any,
    ) -> Batch:
        """As :meth:`queries`, for B pairs; each pair's item is a candidate if the model wants candidates."""
        starts = self.starts(users, ends)
        return self.batch(users, starts, ends, items=items, candidates=items, context=context, **learnt)

    def items(self, rows: np.ndarray) -> Batch:
        """A batch of (C,) int64 item rows to encode, in one empty example."""
        none = np.zeros(1, np.int64)
        return self.batch(none, none, none, candidates=rows)

    def _of_events(
        self, name: str, slices: Slices, items: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Flat values of a feature of events or of their items, lengths by example, and by event if many."""
        if name in self._history:
            values, offsets, counts = self._history[name]
            if offsets is None:
                return slices.of(values), slices.lengths, None
            flat = Slices(offsets[slices.starts], offsets[slices.ends])
            return flat.of(values), flat.lengths, slices.of(counts)
        values, counts = self.preparation.sides["item"].ids(name, items)
        if not self.preparation.schema.feature(name).many:
            return values, slices.lengths, None
        return values, np.diff(offsets_of(counts)[offsets_of(slices.lengths)]), counts

    def _field(self, name: str, rows: Mapping[str, np.ndarray], context: Context) -> Jagged:
        entity = self._entities[name]
        if name == entity:
            values, lengths = flat_and_lengths(rows[entity])
        elif entity == "context":
            values, lengths = flat_and_lengths(context.get(name, np.zeros_like(rows["user"])))
        else:
            values, lengths = self.preparation.sides[entity].ids(name, rows[entity])
        return self._or_unknown(self._tables[name], values), lengths

    def _number(self, name: str, rows: Mapping[str, np.ndarray], context: Context) -> np.ndarray:
        entity = self._entities[name]
        if entity != "context":
            return self.preparation.sides[entity].dense[name][rows[entity]]
        shape = (len(rows["user"]), self.preparation.schema.dense_width([name]))
        found = context.get(name, np.zeros(shape, np.float32))
        assert isinstance(found, np.ndarray)  # a numeric feature
        return found


def _views(column: FlatColumn) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Flat values of a column, offsets of its lists or None, and their lengths."""
    if isinstance(column, np.ndarray):
        return np.asarray(column), None, np.zeros(0, np.int64)
    offsets = column.offsets.to_numpy()
    return column.values.to_numpy(), offsets, np.diff(offsets)


def _side_by_side(numbers: list[np.ndarray], rows: int) -> torch.Tensor:
    """(rows, sum of widths) float32 of columns of numbers or of vectors."""
    if not numbers:
        return torch.zeros(rows, 0)
    return torch.from_numpy(np.column_stack(numbers).astype(np.float32, copy=False))


def _keyed(features: Mapping[str, Jagged], stride: int) -> Any:
    none = np.zeros(stride, np.int64)
    return _keyed_ids(
        keys=list(features),
        values=_joined([values for values, _ in features.values()]),
        lengths=_joined([lengths if len(lengths) else none for _, lengths in features.values()]),
        stride=stride,
    )


def _joined(parts: list[np.ndarray]) -> torch.Tensor:
    """int64, whatever the parts are: one pass casts and joins them."""
    return torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *parts], dtype=np.int64))
