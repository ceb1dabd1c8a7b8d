"""Contract tests that a plug-in's own tests subclass.

Example:
    A test file of a package with an interaction needs no more than this:

    >>> from torchrec_ext.interactions import DotInteraction
    >>> from torchrec_ext.testing import Case, InteractionContract
    >>> class TestDotInteraction(InteractionContract):
    ...     cases = [Case(DotInteraction, num_fields=3, dim=8, keep_fields=1)]
"""

from pkgutil import iter_modules

import pytest

# Before the modules are imported, so that their plain asserts show both sides in other suites too.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.encoder import EncoderContract
from torchrec_ext.testing.head import HeadContract
from torchrec_ext.testing.interaction import InteractionContract
from torchrec_ext.testing.loss import RankingLossContract, RetrievalLossContract
from torchrec_ext.testing.module import ModuleContract
from torchrec_ext.testing.multi_interest import MultiInterestContract
from torchrec_ext.testing.promise import BrokenPromise, promises
from torchrec_ext.testing.scorer import ScorerContract
from torchrec_ext.testing.target_attention import TargetAttentionContract

__all__ = [
    "BrokenPromise",
    "Case",
    "EncoderContract",
    "HeadContract",
    "InteractionContract",
    "ModuleContract",
    "MultiInterestContract",
    "RankingLossContract",
    "RetrievalLossContract",
    "ScorerContract",
    "TargetAttentionContract",
    "promises",
]
