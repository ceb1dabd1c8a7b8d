"""Baselines: what a model must beat, under the protocol of :func:`~torchrec_ext.evaluation.evaluate`."""

from torchrec_ext.evaluation.baselines.item_knn import item_knn
from torchrec_ext.evaluation.baselines.popularity import popularity

__all__ = ["item_knn", "popularity"]
