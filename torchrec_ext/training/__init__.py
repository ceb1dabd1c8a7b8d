"""Training: fit() and load(), their settings, checkpoints and the folder of a run."""

from torchrec_ext.lazy_exports import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__)
