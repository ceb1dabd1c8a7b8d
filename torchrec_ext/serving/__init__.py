"""Serving: bundles that need no TorchRec, and the service over them."""

from torchrec_ext.lazy_exports import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__)
