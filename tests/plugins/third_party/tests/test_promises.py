"""The shipped contract tests, as a package from outside uses them."""

from example_plugins.decaying_mean import DecayingMean
from example_plugins.gated_sum import GatedSum

from torchrec_ext.testing import Case, EncoderContract, InteractionContract


class TestDecayingMean(EncoderContract):
    cases = [Case(DecayingMean, dim=8, keep=0.25)]


class TestGatedSum(InteractionContract):
    cases = [Case(GatedSum, num_fields=3, dim=8)]
