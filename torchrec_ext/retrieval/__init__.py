"""Exact top-N over a sharded catalogue, and scores of given pairs."""

from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.predict import context_features, predict
from torchrec_ext.retrieval.recommend import recommend
from torchrec_ext.retrieval.top_k import exact_top_k
from torchrec_ext.retrieval.trained_model import TrainedModel

__all__ = ["ExactIndex", "TrainedModel", "context_features", "exact_top_k", "predict", "recommend"]
