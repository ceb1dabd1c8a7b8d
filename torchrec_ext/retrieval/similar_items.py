"""similar_items(): the items whose vectors point the same way."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.encode import encode_items, encode_slice, expect_retriever, item_batcher
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.known_items import find_items


def similar_items(module: nn.Module, preparation: Preparation, items: Any, k: int = 10) -> pd.DataFrame:
    """The k nearest items of each item by the cosine of their vectors; every rank must call it.

    The cosine is taken whatever the scorer is: a scorer compares a query with an item, and under a dot
    product long vectors, which belong to popular items, would be near everything. Ties go to the item that
    came first into the vocabulary.

    Args:
        module: a sharded retriever.
        preparation: how ids became rows, and the side features of the items.
        items: an own id, or several.
        k: length of the lists, at most the number of other items.

    Returns:
        Columns ``item``, ``similar``, ``score`` (the cosine) and ``rank`` from 1; the same on every rank.

    Raises:
        InputError: if the module is not a retriever, none of the items is known, or k is out of range.
    """
    model = expect_retriever(module, "similar_items")
    found = find_items(preparation, [items] if pd.api.types.is_scalar(items) else items, "items")
    rows = pd.unique(found[found > 0])
    others = len(preparation.trained.catalogue) - 1
    if not 1 <= k <= others:
        raise InputError(f"k should be from 1 to the number of other items, {others}; received {k}")
    batcher = item_batcher(preparation, model.inputs)
    index = ExactIndex()
    with inference(model):
        vectors, slice_rows = encode_slice(model, batcher)
        index.build(functional.normalize(vectors.float(), dim=-1), slice_rows)
        queries = functional.normalize(encode_items(model, batcher, rows), dim=-1)
        itself = torch.from_numpy(rows), torch.arange(len(rows) + 1)
        scores, similar = index.search(queries, k, itself)
    ids = preparation.vocabularies["item"]
    return pd.DataFrame({
        "item": np.repeat(ids.ids(rows), k),
        "similar": ids.ids(similar.cpu().numpy().ravel()),
        "score": scores.cpu().numpy().ravel(),
        "rank": np.tile(np.arange(1, k + 1), len(rows)),
    })  # fmt: skip
