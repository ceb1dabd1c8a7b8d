"""torchmetrics classes that see every rank's share."""

from torchrec_ext.metrics.binary_report import BinaryReport
from torchrec_ext.metrics.retrieval_report import RetrievalReport

__all__ = ["BinaryReport", "RetrievalReport"]
