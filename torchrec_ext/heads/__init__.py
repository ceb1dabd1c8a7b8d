"""The last vector to the logits of one or several tasks."""

from torchrec_ext.heads.single import SingleHead

__all__ = ["SingleHead"]
