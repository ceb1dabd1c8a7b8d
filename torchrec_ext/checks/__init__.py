"""Checks of shapes and constructor arguments; those of numbers and words import no torch."""

from torchrec_ext.lazy_exports import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__)
