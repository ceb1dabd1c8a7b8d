"""Protocols and figures: what a model is worth."""

from torchrec_ext.evaluation.baseline import baseline
from torchrec_ext.evaluation.evaluate import evaluate
from torchrec_ext.evaluation.popularity import item_counts, item_mean_label
from torchrec_ext.evaluation.report import Report

__all__ = ["Report", "baseline", "evaluate", "item_counts", "item_mean_label"]
