"""torchmetrics classes that aggregate over all ranks."""

from torchrec_ext.metrics.binary_report import BinaryReport
from torchrec_ext.metrics.retrieval_report import RetrievalReport

__all__ = ["BinaryReport", "RetrievalReport"]
