"""loop, from a planted population to the click rates of a model that learns and of one that does not."""

import pandas as pd
import pytest

import torchrec_ext as tx
from tests.recipes.launch import launch


@pytest.mark.slow
def test_a_model_that_learns_is_clicked_more_than_one_that_does_not(tmp_path):
    words = ("--rounds", "6", "--users", "200", "--items", "300", "--drift", "0.3", "--output", "loop")
    printed = launch("loop", *words, folder=tmp_path).out[0]
    clicks = pd.read_csv(tmp_path / "loop/clicks.csv")
    assert clicks["learning"][0] == clicks["frozen"][0] and len(clicks) == 6
    assert clicks["learning"][1:].mean() > 1.1 * clicks["frozen"][1:].mean()
    assert "last three rounds" in printed and (tmp_path / "loop/clicks.png").stat().st_size > 5000
    last = tx.serving.open_bundle(tmp_path / "loop/bundle-6")
    assert last.manifest["position"] > 0 and last.events.count("user") == 224
