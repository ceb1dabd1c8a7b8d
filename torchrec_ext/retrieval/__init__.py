"""Top-N lists over a sharded catalogue, vectors of items and users, and scores of given pairs."""

from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.item_index import ItemIndex
from torchrec_ext.retrieval.predict import context_features, predict
from torchrec_ext.retrieval.recommend import recommend
from torchrec_ext.retrieval.top_k import exact_top_k
from torchrec_ext.retrieval.trained_model import TrainedModel

__all__ = [
    "ExactIndex",
    "ItemIndex",
    "TrainedModel",
    "context_features",
    "exact_top_k",
    "predict",
    "recommend",
]
