"""The embedding collections of a model, and the tables in them."""

from typing import Any, TypeAlias

from torch import nn
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.modules.fp_embedding_modules import FeatureProcessedEmbeddingBagCollection

Collection: TypeAlias = EmbeddingBagCollection | EmbeddingCollection | FeatureProcessedEmbeddingBagCollection
Collections: TypeAlias = dict[str, Collection]
"""The collections of a model by path."""


def find_collections(model: nn.Module) -> Collections:
    """The collections of a model that is not sharded.

    A collection inside a FeatureProcessedEmbeddingBagCollection belongs to it and is not listed.
    """
    kinds = (EmbeddingBagCollection, EmbeddingCollection, FeatureProcessedEmbeddingBagCollection)
    found: Collections = {path: module for path, module in model.named_modules() if isinstance(module, kinds)}
    inside = {
        id(c._embedding_bag_collection)
        for c in found.values()
        if isinstance(c, FeatureProcessedEmbeddingBagCollection)
    }
    return {path: collection for path, collection in found.items() if id(collection) not in inside}


def tables_of(collection: Collection) -> dict[str, Any]:
    """Table name to its configuration."""
    if isinstance(collection, EmbeddingCollection):
        return {c.name: c for c in collection.embedding_configs()}
    if isinstance(collection, FeatureProcessedEmbeddingBagCollection):
        collection = collection._embedding_bag_collection
    return {c.name: c for c in collection.embedding_bag_configs()}
