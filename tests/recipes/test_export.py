"""export, from a run of two processes to a bundle with the run's lists."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

import torchrec_ext as tx
from tests.recipes.launch import launch
from tests.recipes.tiny import EVENTS, SIDES, SMALL
from torchrec_ext.command_line import read_run_data

INDEX = ("--index", "ivf", "--probes", "9") if find_spec("faiss") else ()
pytestmark = pytest.mark.slow  # each recipe imports torch anew


@pytest.fixture(scope="module")
def run(folder):
    own = ("--encoder", "gru", "--item-fields", "item_kind", "--sharding", "item=row_wise", "--k", "5")
    launch("train_retrieval", *EVENTS, *SIDES, *SMALL, *own, "--output", "run", folder=folder, processes=2)
    return "run"


def test_a_bundle_has_the_lists_of_the_run_and_its_figures(folder, run, monkeypatch):
    printed = launch(
        "export", "--checkpoint", run, "--output", "bundle", "--precision", "int8", "--max-loss", "1",
        *INDEX, folder=folder,
    ).out[0]  # fmt: skip
    assert "tables in int8" in printed and "ndcg@10" in printed and "written to bundle" in printed
    assert not INDEX or "the index (ivf) has recall@10 " in printed
    manifest = json.loads((folder / "bundle/bundle.json").read_text())
    assert manifest["origin"]["run"] == "run" and manifest["origin"]["epochs"] == 2
    assert manifest["figures"]["overlap"] > 0.5 and str(folder) not in json.dumps(manifest)

    launch("export", "--checkpoint", run, "--output", "exact", "--no-measure", folder=folder)
    monkeypatch.chdir(folder)
    bundle, events = tx.serving.open_bundle("exact"), read_run_data(run)
    users = events.ids("user")[:7]
    lists = [
        tx.retrieval.recommend(model, known, users, 5)
        for model, known in ((bundle.model, bundle.events), (tx.training.load(run), events))
    ]
    assert lists[0]["item"].tolist() == lists[1]["item"].tolist()
    np.testing.assert_allclose(lists[0]["score"], lists[1]["score"], atol=1e-5)
    assert {*bundle.events.items.columns} == {"item", "title", "kind"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--checkpoint", "run", "--output", "events.csv"), "events.csv is there already"),
        (("--checkpoint", "nowhere", "--output", "b"), "nowhere does not exist"),
        (("--checkpoint", "run", "--output", "b", "--precision", "int4"), "int4"),
    ],
)
def test_refusals_are_one_line(words, message, folder, run):
    ended = launch("export", *words, folder=folder, succeeds=False)
    assert ended.status == 2 and message in ended.err[0] and "Traceback" not in ended.err[0]
    assert not (folder / "b").exists()
