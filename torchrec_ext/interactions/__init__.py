"""Field vectors to one vector."""

# In a private file, which is no plug-in: a name cannot hand over the module that it needs.
from torchrec_ext.interactions._module import ModuleInteraction as ModuleInteraction
from torchrec_ext.plugins import hand_on

__getattr__, __dir__ = hand_on(__name__)
