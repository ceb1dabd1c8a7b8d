"""item_vectors(): the vectors of a retriever's items."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import nn

from torchrec_ext.data.preparation import Preparation
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.encode import encode_items, expect_retriever, item_batcher
from torchrec_ext.retrieval.known_items import find_items
from torchrec_ext.retrieval.vectors import Vectors


def item_vectors(
    module: nn.Module, preparation: Preparation, items: Sequence | np.ndarray | pd.Series | None = None
) -> Vectors:
    """Vectors of items, whole on every rank; every rank must call it with the same items.

    Args:
        module: a sharded retriever.
        preparation: how ids became rows, and the side features of the items.
        items: own ids; None for the whole catalogue.

    Raises:
        InputError: if the module is not a retriever, or none of the items is known.
    """
    model = expect_retriever(module, "item_vectors")
    rows = preparation.trained.catalogue
    if items is not None:
        rows = find_items(preparation, items, "items")
        rows = rows[rows > 0]
    with inference(model):
        values = encode_items(model, item_batcher(preparation, model.inputs), rows)
    return Vectors(preparation.vocabularies["item"].ids(rows), values.cpu())
