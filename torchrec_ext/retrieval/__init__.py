"""Exact top-N over a sharded catalogue."""

from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.top_k import exact_top_k

__all__ = ["ExactIndex", "exact_top_k"]
