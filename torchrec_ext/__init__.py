"""torchrec_ext: the path from TorchRec's sharded tables to a top-N list.

Sub-packages are imported at first use, so ``import torchrec_ext`` is quick. ``contracts``, ``interactions``,
``encoders``, ``target_attention``, ``scorers``, ``heads`` and ``losses`` work with torch alone.
"""

from torchrec_ext.lazy_exports import lazy_exports

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_exports(__name__)
