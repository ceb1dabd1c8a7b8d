"""QueryProgram: the query tower of a retriever over padded tensors, lookups included, for other runtimes."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from torchrec_ext.batch import Batch
from torchrec_ext.contracts import MaskedEncoder, MultiInterestEncoder
from torchrec_ext.embeddings.last_state import last_state
from torchrec_ext.models.event_vectors import mix_event
from torchrec_ext.padding import real_events
from torchrec_ext.schema import Schema
from torchrec_ext.serving.local_model import LocalRetriever

BATCH, EVENTS = "batch", "events"


class ProgramInput(NamedTuple):
    """One tensor that the program takes.

    Args:
        name: such as ``history``.
        dtype: of the tensor.
        shape: each axis: the name of one that varies, or its size.
        rows: number of rows of the table that its values are rows of; 0 for other values.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[str | int, ...]
    rows: int = 0


class QueryProgram(nn.Module):
    """What ``encode_queries`` of a local retriever computes, from padded tensors instead of a batch.

    ``inputs`` lists the tensors in the order of the arguments: ``history``, ``history.lengths``,
    ``history.times`` (where the encoder reads times; zeros if the data has none), ``history_<feature>`` of
    each feature of the events, each field, and ``dense``. A feature of several ids has one axis more, and a
    tensor ``<feature>.lengths`` after it. Ids are rows of the tables, as batches hold them. Padding stands
    on the right; it does not change a query, but its ids must be rows too.

    Args:
        model: whose tower and tables are used, not copied.
        schema: of its data.

    Example:
        >>> from torchrec_ext.batch import Inputs
        >>> from torchrec_ext.encoders import MeanPool
        >>> from torchrec_ext.models.towers import ItemTower, QueryTower, Towers
        >>> from torchrec_ext.schema import Feature, Table
        >>> from torchrec_ext.scorers import DotScorer
        >>> from torchrec_ext.serving.local_tables import LocalEmbeddings
        >>> from torchrec_ext.serving.row_table import RowTable
        >>> schema = Schema((Table("user", 1), Table("item", 3)), (Feature("item", "item", "item", "item"),))
        >>> reads, table = Inputs(max_length=5), RowTable(torch.tensor([[0.0], [2.0], [4.0]]))
        >>> towers = Towers(QueryTower(1, reads, MeanPool(1)), ItemTower(1, reads))
        >>> embeddings = LocalEmbeddings(schema, reads, {"item": table})
        >>> program = QueryProgram(LocalRetriever(embeddings, towers, DotScorer(1), reads), schema)
        >>> [one.name for one in program.inputs]
        ['history', 'history.lengths']
        >>> program(torch.tensor([[1, 2], [2, 0]]), torch.tensor([2, 1])).tolist()
        [[3.0], [4.0]]
    """

    def __init__(self, model: LocalRetriever, schema: Schema) -> None:
        super().__init__()
        reads, tower = model.inputs, model.towers.query_tower
        self.encoder, self.project = tower.encoder, tower.project
        reserved = 1 if isinstance(self.encoder, MaskedEncoder) else 0  # for the hidden event
        self.max_events = max(reads.max_length - reserved, 1) if reads.max_length else 0
        of_events = {f"history_{name}": schema.feature(name) for name in reads.history_fields}
        if self.max_events:
            of_events = {"history": schema.feature("item"), **of_events}
        of_query = {name: schema.feature(name) for name in reads.fields}
        features = {**of_events, **of_query}
        self.mix = reads.history_mix
        self.of_events, self.of_query = tuple(of_events), tuple(of_query)
        self.lists = {key for key, feature in features.items() if feature.many}
        self.table_of = {key: feature.table for key, feature in features.items()}
        whole = model.embeddings.tables
        self.poolers = model.embeddings.pool_words.poolers
        self.tables = nn.ModuleDict({name: whole[name] for name in sorted({*self.table_of.values()})})
        self.inputs = tuple(self._inputs(schema, schema.dense_width(reads.dense)))

    def forward(self, *tensors: Tensor) -> Tensor:
        """The tensors of ``inputs`` to ``(B, D)`` queries, or ``(B, K, D)`` of K interests."""
        given = {one.name: tensor for one, tensor in zip(self.inputs, tensors, strict=True)}
        features = [self._vectors(key, given) for key in self.of_query]
        if "dense" in given:
            features.append(given["dense"])
        if self.encoder is None:
            return self.project(torch.cat(features, 1))
        states = self._newest(given)
        if states.dim() == 3:
            features = [part[:, None].expand(-1, states.shape[1], -1) for part in features]
        return self.project(torch.cat([states, *features], -1))

    def tensors_of(self, batch: Batch) -> tuple[Tensor, ...]:
        """The arguments of the program for the users of a batch, padded to the longest history and list."""
        found: dict[str, Tensor] = {"dense": batch.dense}
        ids = batch.fields.to_dict() if self.of_query else {}
        for key in self.of_query:
            found[key] = ids[key].values()
            if key in self.lists:
                found[f"{key}.lengths"] = ids[key].lengths()
                found[key] = _padded(found[key], ids[key].lengths())
        if self.of_events:
            ids = batch.sequences.to_dict()
            lengths_B, times = ids["history"].lengths(), batch.history_times
            flat = {key: ids[key].values() for key in self.of_events}
            for key in self.lists.intersection(self.of_events):
                flat[f"{key}.lengths"] = batch.history_lengths[key.removeprefix("history_")]
                flat[key] = _padded(flat[key], flat[f"{key}.lengths"])
            none = torch.zeros(len(flat["history"]), dtype=torch.float64)
            flat["history.times"] = none if times is None else times
            found |= {key: _padded(values, lengths_B, self.max_events) for key, values in flat.items()}
            found["history.lengths"] = lengths_B.clamp(max=self.max_events)
        return tuple(found[one.name] for one in self.inputs)

    def _inputs(self, schema: Schema, dense_width: int) -> Iterator[ProgramInput]:
        for key, table in self.table_of.items():
            axes = (BATCH, EVENTS) if key in self.of_events else (BATCH,)
            several, rows = (f"{key}.ids",) if key in self.lists else (), schema.table(table).rows
            yield ProgramInput(key, torch.int64, (*axes, *several), rows)
            if several:
                yield ProgramInput(f"{key}.lengths", torch.int64, axes)
            if key == "history":
                yield ProgramInput("history.lengths", torch.int64, (BATCH,))
                if self.encoder is not None and self.encoder.reads_times:
                    yield ProgramInput("history.times", torch.float64, axes)
        if dense_width:
            yield ProgramInput("dense", torch.float32, (BATCH, dense_width))

    def _vectors(self, key: str, given: dict[str, Tensor]) -> Tensor:
        """``(..., D)`` vectors of a feature: looked up, and those of several ids pooled."""
        vectors = self.tables[self.table_of[key]](given[key])
        if key not in self.lists:
            return vectors
        lengths = given[f"{key}.lengths"].unsqueeze(-1)
        real = torch.arange(vectors.shape[-2], device=vectors.device) < lengths
        vectors = vectors.masked_fill(~real.unsqueeze(-1), 0)
        if key in self.poolers:
            return self.poolers[key](vectors, lengths.squeeze(-1))
        return vectors.sum(-2) / lengths.clamp(min=1)

    def _newest(self, given: dict[str, Tensor]) -> Tensor:
        """``(B, H)`` state after all events, or ``(B, K, H)`` interests; see ``QueryTower``."""
        assert self.encoder is not None
        lengths_B, times_BT = given["history.lengths"], given.get("history.times")
        events_BTD, *features = [self._vectors(key, given) for key in self.of_events]
        for feature_BTD in features:
            events_BTD = mix_event(events_BTD, feature_BTD, self.mix)
        real_BT = real_events(events_BTD, lengths_B)
        events_BTD = events_BTD.masked_fill(~real_BT.unsqueeze(2), 0)
        if times_BT is not None:
            times_BT = times_BT.masked_fill(~real_BT, 0)
        if isinstance(self.encoder, MaskedEncoder):
            events_BTD = pad(events_BTD, (0, 0, 0, 1))
            times_BT = None if times_BT is None else pad(times_BT, (0, 1))
            hidden_BT = real_events(events_BTD, lengths_B + 1) & ~real_events(events_BTD, lengths_B)
            return last_state(self.encoder(events_BTD, lengths_B + 1, times_BT, hidden_BT), lengths_B + 1)
        states = self.encoder(events_BTD, lengths_B, times_BT)
        return states if isinstance(self.encoder, MultiInterestEncoder) else last_state(states, lengths_B)


def describe_program(program: QueryProgram, dim: int) -> dict[str, Any]:
    """What a manifest says of a program: its inputs in order, the bounds of their axes, and its output."""
    names = {axis for one in program.inputs for axis in one.shape if isinstance(axis, str)}
    interests = [program.encoder.num_interests] if isinstance(program.encoder, MultiInterestEncoder) else []
    return {
        "inputs": [
            {"name": one.name, "dtype": str(one.dtype).removeprefix("torch."), "shape": list(one.shape)}
            for one in program.inputs
        ],
        "axes": {n: {"min": 1, "max": program.max_events if n == EVENTS else None} for n in sorted(names)},
        "output": {"name": "queries", "dtype": "float32", "shape": [BATCH, *interests, dim]},
    }


def _padded(values: Tensor, lengths_N: Tensor, newest: int | None = None) -> Tensor:
    """``(S, ...)`` flat values of N lists to ``(N, longest, ...)``, with zeros, and at least one place."""
    lists = [part if newest is None else part[-newest:] for part in values.split(lengths_N.tolist())]
    if not len(values):
        return values.new_zeros(len(lengths_N), 1, *values.shape[1:])
    return pad_sequence(lists, batch_first=True)
