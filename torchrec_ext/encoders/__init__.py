"""A history to one state per event."""

# In a private file, which is no plug-in: a name cannot hand over the module that it needs.
from torchrec_ext.encoders._module import ModuleEncoder as ModuleEncoder
from torchrec_ext.plugins import hand_on

__getattr__, __dir__ = hand_on(__name__)
