"""Query and candidate vectors to scores."""

from torchrec_ext.plugins import hand_on

__getattr__, __dir__ = hand_on(__name__)
