"""The last vector to the logits of one or several tasks."""

from torchrec_ext.plugins import hand_on

__getattr__, __dir__ = hand_on(__name__)
