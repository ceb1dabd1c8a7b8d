"""The process group, the sharding plan, and shard(), which applies it to a model."""

from typing import Any

from torchrec_ext import compatibility
from torchrec_ext.lazy_exports import lazy_exports

_get, __dir__, __all__ = lazy_exports(__name__)


def __getattr__(name: str) -> Any:
    compatibility.check()  # says which versions do not fit before torchrec is imported
    return _get(name)
