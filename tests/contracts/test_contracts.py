"""Every built-in module keeps the promises of its contract."""

import pytest

from tests.contracts.cases import CASES
from torchrec_ext import plugins
from torchrec_ext.contracts import GROUPS, MultiInterestEncoder, RankingLoss, RetrievalLoss
from torchrec_ext.testing import (
    EncoderContract,
    HeadContract,
    InteractionContract,
    MultiInterestContract,
    RankingLossContract,
    RetrievalLossContract,
    ScorerContract,
    TargetAttentionContract,
)


class TestInteractions(InteractionContract):
    cases = CASES["interactions"]


class TestEncoders(EncoderContract):
    cases = [case for case in CASES["encoders"] if not issubclass(case.cls, MultiInterestEncoder)]


class TestMultiInterestEncoders(MultiInterestContract):
    cases = [case for case in CASES["encoders"] if issubclass(case.cls, MultiInterestEncoder)]


class TestTargetAttention(TargetAttentionContract):
    cases = CASES["target_attention"]


class TestHeads(HeadContract):
    cases = CASES["heads"]


class TestRankingLosses(RankingLossContract):
    cases = [case for case in CASES["losses"] if issubclass(case.cls, RankingLoss)]


class TestRetrievalLosses(RetrievalLossContract):
    cases = [case for case in CASES["losses"] if issubclass(case.cls, RetrievalLoss)]


class TestScorers(ScorerContract):
    cases = CASES["scorers"]


@pytest.mark.parametrize("group", GROUPS)
def test_every_module_has_a_case(group):
    tried = {case.cls for case in CASES[group]}
    found = {plugins.find(group, name) for name in plugins.names(group)}
    missing = {cls for cls in found - tried if cls.__module__.startswith("torchrec_ext.")}
    assert not missing, f"add a line to tests/contracts/cases.py for {missing}"
