"""The recipe of the composing user."""

import re

import pytest

from tests.recipes.launch import ROOT


@pytest.mark.parametrize("processes", [1, 2])
def test_it_learns_and_finds_alike_items(warm, tmp_path, processes):
    ended = warm.launch("own_pipeline", "--steps", "150", folder=tmp_path, processes=processes)
    out = ended.out[0]
    assert out.count(": overlapped") == 2
    auc = re.search(r"AUC in the second half of training (0\.\d+)", out)
    assert auc is not None and float(auc[1]) > 0.8
    nearest = re.search(r"\[(.*)\]", out.splitlines()[-1])
    assert nearest is not None
    items = [int(item) for item in nearest[1].split(",")]
    assert items[0] == 0 and sum(item < 100 for item in items) >= 9
    assert ended.out[1:] == ended.err[1:] == [""] * (processes - 1)


def test_it_is_short_and_stands_on_its_own():
    text = "".join((ROOT / "recipes" / f"{name}.py").read_text() for name in ("own_pipeline", "click_model"))
    assert len(text.splitlines()) <= 130
    for ours in ("torchrec_ext.schema", "torchrec_ext.batch", "torchrec_ext.data", "fit("):
        assert ours not in text
