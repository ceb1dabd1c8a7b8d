"""Lookups in whole tables of one process, in place of TorchRec's collections."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.embeddings.pooler import PooledFields, Pooler
from torchrec_ext.embeddings.sequence_tables import sequence_tables
from torchrec_ext.models.segment_means import segment_means
from torchrec_ext.plain_jagged import PlainJaggedTensor
from torchrec_ext.schema import Schema
from torchrec_ext.serving.row_table import RowTable


class LocalEmbeddings(nn.Module):
    """What :class:`~torchrec_ext.embeddings.Embeddings` returns, from whole tables of plain torch.

    Args:
        schema: features and tables.
        inputs: the pooled fields and the sequences that the model reads.
        tables: of the schema, as far as the model reads them.
        poolers: by feature; those of the pooled fields are used, which are then not averaged.
    """

    def __init__(
        self,
        schema: Schema,
        inputs: Inputs,
        tables: Mapping[str, RowTable],
        poolers: Mapping[str, Pooler] | None = None,
    ) -> None:
        super().__init__()
        self.pool_words = PooledFields(inputs.pooled, poolers)
        self.tables = nn.ModuleDict(tables)
        self.fields = {name: schema.feature(name).table for name in inputs.pooled}
        self.sequences = sequence_tables(schema, inputs)

    def forward(self, batch: Batch) -> tuple[Tensor | None, dict[str, PlainJaggedTensor]]:
        """Looks a batch up: ``(B, F, D)`` pooled fields or None, and the vectors of each sequence."""
        ids = batch.sequences.to_dict() if self.sequences else {}
        return self.pool(batch), {
            key: PlainJaggedTensor(self.tables[table](ids[key].values()), ids[key].lengths())
            for key, table in self.sequences.items()
        }

    def pool(self, batch: Batch) -> Tensor | None:
        """``(B, F, D)`` pooled fields, or None where the model reads none."""
        if not self.fields:
            return None
        ids, poolers = batch.fields.to_dict(), self.pool_words.poolers
        pooled = {n: _pooled(self.tables[t], ids[n]) for n, t in self.fields.items() if n not in poolers}
        words = {
            n: PlainJaggedTensor(self.tables[self.fields[n]](ids[n].values()), ids[n].lengths())
            for n in poolers
        }
        return self.pool_words(torch.stack([*pooled.values()], 1) if pooled else None, words)


class LocalFirstOrder(nn.Module):
    """What :class:`~torchrec_ext.embeddings.FirstOrder` returns, from whole tables of plain torch.

    Args:
        schema: features and tables.
        inputs: its fields have weights, and the item and its ``candidate_fields`` where it is a candidate.
        tables: ``(R, tasks)`` weights of the ids, by the name of the table in the schema.
    """

    def __init__(self, schema: Schema, inputs: Inputs, tables: Mapping[str, RowTable]) -> None:
        super().__init__()
        self.tables = nn.ModuleDict(tables)
        self.fields = {name: schema.feature(name).table for name in inputs.fields}
        of_candidates = replace(inputs, max_length=0, history_fields=())
        self.candidates = sequence_tables(schema, of_candidates)

    def forward(self, batch: Batch) -> Tensor:
        """A batch of B examples to ``(B, tasks)``."""
        ids = batch.fields.to_dict() if self.fields else {}
        parts = [_pooled(self.tables[table], ids[name]) for name, table in self.fields.items()]
        ids = batch.sequences.to_dict() if self.candidates else {}
        parts += [_pooled(self.tables[table], ids[key]) for key, table in self.candidates.items()]
        return torch.stack(parts).sum(0)


def _pooled(table: nn.Module, ids: PlainJaggedTensor) -> Tensor:
    return segment_means(table(ids.values()), ids.lengths())
