"""A candidate and a history to one vector."""

from torchrec_ext.plugins import hand_on

__getattr__, __dir__ = hand_on(__name__)
