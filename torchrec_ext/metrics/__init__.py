"""torchmetrics classes that see every rank's share."""

from torchrec_ext.metrics.binary_report import BinaryReport

__all__ = ["BinaryReport"]
