"""FirstOrder: a weight for each id, beside the vectors."""

import torch
from torch import Tensor, nn
from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.checks import expect_at_least
from torchrec_ext.embeddings.stack_fields import stack_fields
from torchrec_ext.embeddings.tables import KERNEL_MULTIPLE
from torchrec_ext.schema import Schema


class FirstOrder(nn.Module):
    """The sum over the fields of a weight for each id and task, the linear term of "Factorization Machines".

    From "Factorization Machines" (Rendle 2010). A field of several ids counts the mean of their weights.
    The tables are sharded, trained and saved like those of :class:`Embeddings`, and their names end in
    ``_first_order``. :func:`initialise_tables` sets them to zero. Their width is padded as the fused
    kernels want it, and cut back here.

    Args:
        schema: features and tables.
        inputs: its fields have weights, and the item and its ``candidate_fields`` where it is a candidate.
        tasks: weights of an id.

    Example:
        >>> from torchrec_ext.schema import Feature, Table
        >>> schema = Schema((Table("item", 5),), (Feature("item", "item", "item", "sku"),))
        >>> first_order = FirstOrder(schema, Inputs(fields=("item",)))
        >>> first_order.fields.embedding_bag_configs()[0].name
        'item_first_order'
    """

    def __init__(self, schema: Schema, inputs: Inputs, tasks: int = 1) -> None:
        super().__init__()
        expect_at_least(1, tasks=tasks)
        self.tasks = tasks
        self.width = -(-tasks // KERNEL_MULTIPLE) * KERNEL_MULTIPLE
        self.field_names = list(inputs.fields)
        self.fields = self._bags(schema, {name: name for name in inputs.fields}) if inputs.fields else None
        of_candidates = {"candidates": "item"} | {f"candidates_{n}": n for n in inputs.candidate_fields}
        self.candidate_keys = list(of_candidates)
        self.candidates = self._bags(schema, of_candidates) if inputs.candidates else None

    def forward(self, batch: Batch) -> Tensor:
        """A batch of B examples to ``(B, tasks)``, with one lookup in each collection.

        The candidates of the batch are one item for each example.
        """
        parts = []
        if self.fields is not None:
            parts.append(stack_fields(self.fields(batch.fields), self.field_names))
        if self.candidates is not None:
            parts.append(stack_fields(self.candidates(batch.sequences), self.candidate_keys))
        return torch.cat(parts, 1)[..., : self.tasks].sum(1)

    def _bags(self, schema: Schema, feature_of_key: dict[str, str]) -> EmbeddingBagCollection:
        tables: dict[str, list[str]] = {}
        for key, name in feature_of_key.items():
            tables.setdefault(schema.feature(name).table, []).append(key)
        configs = [
            EmbeddingBagConfig(
                name=f"{table}_first_order",
                embedding_dim=self.width,
                num_embeddings=schema.table(table).rows,
                feature_names=keys,
                pooling=PoolingType.MEAN,
            )
            for table, keys in tables.items()
        ]
        return EmbeddingBagCollection(tables=configs, device=torch.device("meta"))
