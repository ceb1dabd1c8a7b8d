"""The page for authors of modules lists every promise, as the kit states and breaks it."""

import re
from pathlib import Path

import pytest

from tests.contracts.test_kit import BREAKS, failure_of
from torchrec_ext.testing import (
    EncoderContract,
    InteractionContract,
    ModuleContract,
    MultiInterestContract,
    RankingLossContract,
    RetrievalLossContract,
    ScorerContract,
    TargetAttentionContract,
    promises,
)
from torchrec_ext.testing.history import HistoryContract
from torchrec_ext.testing.promise import is_slow

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-module.md").read_text()
SECTIONS = {
    "Every kind": (ModuleContract, None),
    "Interactions": (InteractionContract, ModuleContract),
    "Every encoder": (HistoryContract, ModuleContract),
    "One state for each event": (EncoderContract, HistoryContract),
    "Several interests": (MultiInterestContract, HistoryContract),
    "Target attention": (TargetAttentionContract, ModuleContract),
    "Scorers": (ScorerContract, ModuleContract),
    "Losses of retrievers": (RetrievalLossContract, ModuleContract),
    "Losses of rankers": (RankingLossContract, ModuleContract),
}
ROW = re.compile(r"^\| `(\w+)`( \(slow\))? \| (.+) \| `(.+)` \|$", re.M)


def rows(title: str) -> list[tuple[str, str, str, str]]:
    (section,) = re.findall(rf"^### {title}\n(.*?)(?=^###? |\Z)", PAGE, re.M | re.S)
    return ROW.findall(section)


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_lists_the_promises_of_its_contract(title):
    contract, listed_before = SECTIONS[title]
    own = promises(contract).items() - (promises(listed_before).items() if listed_before else set())
    assert {name: what for name, _, what, _ in rows(title)} == {
        name: what.replace("``", "`") for name, what in own
    }
    for name, slow, _, _ in rows(title):
        assert bool(slow) == is_slow(getattr(contract, f"test_{name}")), name


def shown(title: str, name: str, failure: str):
    contract = SECTIONS[title][0]
    marks = [pytest.mark.slow] if is_slow(getattr(contract, f"test_{name}")) else []
    return pytest.param(name, failure, id=f"{title}-{name}", marks=marks)


@pytest.mark.parametrize(
    ("name", "failure"),
    [shown(title, name, failure) for title in SECTIONS for name, _, _, failure in rows(title)],
)
def test_a_failure_is_what_a_broken_module_gives(name, failure):
    pattern = re.compile(re.escape(failure).replace("…", ".*"), re.S)
    said = [failure_of(*each) for each in BREAKS if each[1] == name]
    assert any(pattern.search(each) for each in said), said
