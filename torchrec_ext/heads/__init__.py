"""The last vector to the logits of one or several tasks."""

from torchrec_ext.lazy_exports import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__)
