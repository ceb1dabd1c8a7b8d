"""Adapters from lookups of sharded tables to the tensors that interactions and encoders take."""

from typing import Any

from torchrec_ext import compatibility
from torchrec_ext.lazy_exports import lazy_exports

_get, __dir__, __all__ = lazy_exports(__name__)


def __getattr__(name: str) -> Any:
    compatibility.check()  # says which versions do not fit before torchrec is imported
    return _get(name)
