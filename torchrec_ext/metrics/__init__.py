"""torchmetrics classes that aggregate over all ranks."""

from torchrec_ext.metrics.binary_report import BinaryReport
from torchrec_ext.metrics.ranked_targets import user_metrics
from torchrec_ext.metrics.retrieval_report import RetrievalReport

__all__ = ["BinaryReport", "RetrievalReport", "user_metrics"]
