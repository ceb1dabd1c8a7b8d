"""torchrec_ext: what stands between TorchRec's sharded tables and a top-N list.

Sub-packages are imported at first use, so ``import torchrec_ext`` is quick. ``contracts``, ``interactions``,
``encoders``, ``target_attention``, ``scorers``, ``heads`` and ``losses`` work where torch alone is installed.
"""

from torchrec_ext.lazy_exports import lazy_exports

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_exports(__name__)
