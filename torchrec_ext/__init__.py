"""torchrec_ext: what stands between TorchRec's sharded tables and a top-N list.

The sub-packages are imported when they are first used: ``import torchrec_ext`` costs nothing, and
``contracts``, ``interactions``, ``encoders`` and ``losses`` work where torch alone is installed.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

_PARTS = (
    "batch", "contracts", "data", "distributed", "embeddings", "encoders", "errors", "evaluation",
    "heads", "interactions", "losses", "metrics", "models", "plugins", "retrieval", "schema",
    "scorers", "target_attention", "testing", "training",
)  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    if name in _PARTS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_PARTS]
