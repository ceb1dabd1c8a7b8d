"""Embeddings: the tables a model reads, and their lookups as the tensors its parts take."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torchrec.modules.embedding_configs import EmbeddingBagConfig, EmbeddingConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.sparse.jagged_tensor import JaggedTensor

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.checks import expect_at_least
from torchrec_ext.compatibility import KERNEL_MULTIPLE
from torchrec_ext.embeddings.pooler import PooledFields, Pooler
from torchrec_ext.embeddings.sequence_tables import sequence_tables
from torchrec_ext.embeddings.stack_fields import stack_fields
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Schema


class Embeddings(nn.Module):
    """An EmbeddingBagCollection for pooled fields and an EmbeddingCollection for histories and candidates.

    A second EmbeddingCollection is for fields whose ids an encoder pools.

    The tables are on the ``meta`` device until :func:`torchrec_ext.distributed.shard` gives each rank
    its part, so that no process ever holds a whole table. A width that the fused kernels refuse is padded
    here, and the lookups are cut back to it.

    Args:
        schema: features and tables.
        dim: D, width of every vector; any number.
        inputs: the pooled fields and the sequences that the model reads.
        poolers: by feature; those of the pooled fields are used, which are then not averaged.

    Raises:
        InputError: if a table would have to be in two collections, which TorchRec cannot share, or the
            model reads items and the data has none.

    Example:
        >>> from torchrec_ext.schema import Feature, Table
        >>> schema = Schema((Table("item", 5),), (Feature("item", "item", "item", "sku"),))
        >>> embeddings = Embeddings(schema, dim=50, inputs=Inputs(fields=("item",)))
        >>> embeddings.bags.embedding_bag_configs()[0].embedding_dim
        52
    """

    def __init__(
        self, schema: Schema, dim: int, inputs: Inputs, poolers: Mapping[str, Pooler] | None = None
    ) -> None:
        super().__init__()
        expect_at_least(1, dim=dim)
        self.dim = dim
        self.pool_words = PooledFields(inputs.pooled, poolers)
        encoded = {name: schema.feature(name).table for name in self.pool_words.poolers}
        self.field_names = [name for name in inputs.pooled if name not in encoded]
        self.width = -(-dim // KERNEL_MULTIPLE) * KERNEL_MULTIPLE
        pooled = {name: schema.feature(name).table for name in self.field_names}
        unpooled = sequence_tables(schema, inputs)
        ways = {"pooled": pooled, "as a sequence": unpooled, "for a pooler": encoded}
        for (one, its), (other, others) in combinations(ways.items(), 2):
            for table in set(its.values()) & set(others.values()):
                raise InputError(
                    f"table {table!r} is wanted both {one} ({', '.join(_keys(its, table))}) and {other} "
                    f"({', '.join(_keys(others, table))}), and TorchRec's collections share no table; "
                    "leave it out of the fields or give it a table of its own"
                )
        self.bags = self._bags(schema, pooled) if pooled else None
        self.events = self._collection(schema, unpooled) if unpooled else None
        self.words = self._collection(schema, encoded) if encoded else None

    def forward(self, batch: Batch) -> tuple[Tensor | None, dict[str, JaggedTensor]]:
        """Looks a batch up, once in each collection.

        Returns:
            ``(B, F, D)`` float pooled fields, or None without any, and the ``(sum, D)`` vectors of
            each sequence by its key.
        """
        fields_BFD = None
        sequences: dict[str, JaggedTensor] = {}
        if self.bags is not None:
            fields_BFD = stack_fields(self.bags(batch.fields), self.field_names)[..., : self.dim]
        if self.words is not None:
            fields_BFD = self.pool_words(fields_BFD, _cut(self.words(batch.fields), self.dim))
        if self.events is not None:
            sequences = _cut(self.events(batch.sequences), self.dim)
        return fields_BFD, sequences

    def _bags(self, schema: Schema, pooled: dict[str, str]) -> EmbeddingBagCollection:
        tables = [
            EmbeddingBagConfig(**shape, pooling=PoolingType.MEAN) for shape in self._shapes(schema, pooled)
        ]
        return EmbeddingBagCollection(tables=tables, device=torch.device("meta"))

    def _collection(self, schema: Schema, unpooled: dict[str, str]) -> EmbeddingCollection:
        tables = [EmbeddingConfig(**shape) for shape in self._shapes(schema, unpooled)]
        return EmbeddingCollection(tables=tables, device=torch.device("meta"))

    def _shapes(self, schema: Schema, table_of_key: dict[str, str]) -> list[dict[str, Any]]:
        """What the two kinds of configuration share, table by table."""
        return [
            {
                "name": table,
                "embedding_dim": self.width,
                "num_embeddings": schema.table(table).rows,
                "feature_names": _keys(table_of_key, table),
            }
            for table in dict.fromkeys(table_of_key.values())
        ]


def _keys(tables: dict[str, str], table: str) -> list[str]:
    return [key for key, its in tables.items() if its == table]


# torch.fx patches a wrapped function in the module that defines it
@torch.fx.wrap
def _cut(sequences: dict[str, JaggedTensor], dim: int) -> dict[str, JaggedTensor]:
    return {
        key: JaggedTensor(
            values=found.values()[:, :dim], lengths=found.lengths(), offsets=found.offsets_or_none()
        )
        for key, found in sequences.items()
    }
