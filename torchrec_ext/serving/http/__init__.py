"""The service over HTTP, with FastAPI on uvicorn: the extra ``serve``."""

from torchrec_ext.lazy_exports import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__)
