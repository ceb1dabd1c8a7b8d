"""Reports: runs described and compared, from the values of users that an evaluation keeps."""

from torchrec_ext.lazy_exports import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__)
