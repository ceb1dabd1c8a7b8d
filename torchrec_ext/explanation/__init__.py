"""Why a model scores an item for a user as it does, and what it has learnt of the items."""

from torchrec_ext.lazy_exports import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__)
