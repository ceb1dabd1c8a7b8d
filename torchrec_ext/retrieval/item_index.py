"""ItemIndex: an index of a model's items that is built once and searched many times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import nn

from torchrec_ext import contracts
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.encode import encode_slice, expect_retriever, item_batcher
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.known_items import find_items


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """What ``TrainedModel.build_index`` returns, and what ``recommend`` takes for many calls.

    It keeps the vectors of the time when it was built; build another one after more training.

    Args:
        index: finds the best items of queries; its ids are rows of the item table.
        rows: (n,) int64 ascending item rows in it, over all ranks.
        module: the model that made the vectors.
    """

    index: contracts.Index
    rows: np.ndarray
    module: nn.Module

    def __len__(self) -> int:
        """Number of items."""
        return len(self.rows)


def build_item_index(
    module: nn.Module,
    preparation: Preparation,
    items: Sequence | np.ndarray | pd.Series | None = None,
    index: contracts.Index | None = None,
) -> ItemIndex:
    """Encodes items and indexes them; every rank must call it with the same items, and holds its slice.

    Args:
        module: a sharded retriever.
        preparation: how ids became rows, and the side features of the items.
        items: own ids of the items that may be recommended; None for the whole catalogue.
        index: an empty one to fill; None for an :class:`ExactIndex` with the model's scorer.

    Raises:
        InputError: if the module is not a retriever, or none of the items is known.
    """
    model = expect_retriever(module, "build_index")
    rows = preparation.trained.catalogue
    if items is not None:
        rows = np.unique(find_items(preparation, items, "items"))
        rows = rows[rows > 0]
    filled: contracts.Index = ExactIndex(model.scorer) if index is None else index
    with inference(model):
        filled.build(*encode_slice(model, item_batcher(preparation, model.inputs), rows))
    return ItemIndex(filled, rows, module)
