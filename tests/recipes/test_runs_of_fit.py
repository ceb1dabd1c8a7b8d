"""A run that a script made with fit(output=...) in every recipe, with newer events too."""

import json

import pandas as pd
import pytest

import torchrec_ext as tx
from tests.recipes.tiny import ITEMS, USERS

COLUMNS = {"user": "uid", "item": "sku", "timestamp": "t", "rating": "stars"}


@pytest.fixture(scope="module")
def figures(folder, events):
    """Runs of a retriever on a file, of the same on a table in memory, and of a ranker; their figures."""
    figures = {}
    for name, source in (
        ("file", folder / "events.csv"),
        ("frame", events),
        ("ranker", folder / "events.csv"),
    ):
        read = tx.data.read_events(source, columns=COLUMNS)
        quick = {"epochs": 1, "output": folder / name, "progress": False}
        if name == "ranker":
            train, valid, test = tx.data.by_ratio(read, valid=0.1, test=0.2, seed=5)
            trained = tx.training.fit(tx.models.Ranker(train.schema, 8), train, valid, positive=3.0, **quick)
            figures[name] = tx.evaluation.evaluate(trained, train + valid, test).figures
        else:
            train, valid, test = tx.data.leave_last_out(read)
            model = tx.models.TwoTower(train.schema, 8, "mean_pool")
            trained = tx.training.fit(model, train, valid, **quick)
            figures[name] = tx.evaluation.evaluate(trained, train + valid, test, k=(10,)).figures
    # newer events, of which one is of a new user and one of a new item
    newer = [("u0", "i1", 1_700_000_000, 5), ("new", "i2", 1_700_000_000, 1), ("u1", "i99", 1_700_000_000, 2)]
    added = pd.DataFrame(newer, columns=events.columns)
    added.to_csv(folder / "only.csv", index=False)
    pd.concat([events, added]).to_csv(folder / "newer.csv", index=False)
    pd.DataFrame({"user": ["u3", "u3"], "item": ["i1", "i99"]}).to_csv(folder / "pairs.csv", index=False)
    return figures


@pytest.mark.parametrize(
    ("name", "words"),
    [("file", ()), ("frame", ("--data", "events.csv")), ("ranker", ()), ("ranker", ("--data", "events.csv"))],
)
def test_evaluation_repeats_the_script_s_figures(warm, folder, figures, name, words):
    k = () if name == "ranker" else ("--k", "10")
    warm.launch("evaluate", "--checkpoint", name, *k, *words, folder=folder)
    written = json.loads((folder / name / "evaluation.json").read_text())
    assert {n: written[n] for n in figures[name]} == pytest.approx(figures[name])


def test_added_events_are_predicted_from_all_that_was_known(warm, folder, figures):
    words = ("--checkpoint", "file", "--data", "newer.csv", "--k", "10")
    ended = warm.launch("evaluate", *words, folder=folder, processes=2)
    assert "newer.csv has 3 events that were added after file was trained" in ended.err[0]
    written = json.loads((folder / "file" / "evaluation_added.json").read_text())
    assert (written["users"], written["items"], written["part"]) == (3, ITEMS, "added")
    assert "test: events added after the training; known: train + valid + test" in written["protocol"]
    warm.launch("evaluate", "--checkpoint", "ranker", "--data", "newer.csv", folder=folder)
    written = json.loads((folder / "ranker" / "evaluation_added.json").read_text())
    assert written["auc"] in (0, 0.5, 1) and "rating >= 3" in written["protocol"]
    # a part of the split is still that of the training
    words = ("--checkpoint", "file", "--data", "newer.csv", "--k", "10", "--part", "test")
    warm.launch("evaluate", *words, "--output", "again.json", folder=folder)
    again = json.loads((folder / "again.json").read_text())
    assert {n: again[n] for n in figures["file"]} == pytest.approx(figures["file"])


def test_lists_without_what_newer_events_show_as_seen(warm, folder, figures):
    lists = {}
    for data in ("events.csv", "newer.csv", "only.csv"):
        words = ("--users", "u0", "new", "--k", "10", "--data", data, "--output", f"lists of {data}")
        warm.launch("recommend", "--checkpoint", "frame", *words, folder=folder)
        lists[data] = pd.read_csv(folder / f"lists of {data}")
    sources = {data: dict(zip(found["user"], found["source"], strict=True)) for data, found in lists.items()}
    assert sources["events.csv"] == {"u0": "model", "new": "popular"}
    assert sources["newer.csv"] == sources["only.csv"] == {"u0": "model", "new": "model"}
    for data in ("newer.csv", "only.csv"):
        seen = lists[data].groupby("user")["item"].agg(set)
        assert "i1" not in seen["u0"] and "i2" not in seen["new"]
    words = ("--users", "all", "--k", "3", "--data", "newer.csv", "--output", "all")
    ended = warm.launch("recommend", "--checkpoint", "frame", *words, folder=folder)
    assert f"{USERS + 1} lists in all" in ended.out[0]


def test_scores_from_the_run_and_from_newer_events(warm, folder, figures):
    for words in ((), ("--data", "only.csv")):
        ended = warm.launch(
            "predict", "--checkpoint", "ranker", "--pairs", "pairs.csv", *words, folder=folder
        )
        table = [line.split() for line in ended.out[0].splitlines()]
        assert [row[-1] for row in table] == ["known", "True", "False"]


@pytest.mark.parametrize(
    ("recipe", "words", "thing", "remedy"),
    [
        ("evaluate", (), "frame was trained on a table in memory (DataFrame)", "name a file of its columns"),
        ("recommend", ("--users", "u0"), "cannot be read again", "with --data"),
        (
            "evaluate",
            ("--data", "only.csv"),
            "does not begin with the events",
            "with the newer ones after them",
        ),
        ("evaluate", ("--data", "events.csv", "--part", "added"), "--part added needs events", "--data"),
        ("evaluate", ("--data", "event.csv"), "no file event.csv", "did you mean events.csv?"),
        ("evaluate", ("--data", "pairs.csv"), "pairs.csv has no column 'uid'", "it has user, item"),
        ("evaluate", ("--data", "events.csv", "--k", "41"), "received 41", "number of items, 40"),
        (
            "recommend",
            ("--users", "u0", "--data", "events.csv", "--candidates", "i99"),
            "none of the item ids in candidates is known",
            "that it knows look like",
        ),
    ],
)
def test_what_cannot_be_is_one_line(warm, folder, figures, recipe, words, thing, remedy):
    ended = warm.launch(recipe, "--checkpoint", "frame", *words, folder=folder, succeeds=False)
    assert ended.status == 2
    assert ended.error.startswith(f"{recipe}.py: ") and thing in ended.error and remedy in ended.error


def test_a_run_goes_on_where_rows_were_added_and_says_so(warm, folder, figures):
    before = (folder / "events.csv").read_text()
    (folder / "events.csv").write_text((folder / "newer.csv").read_text())
    try:
        words = ("--checkpoint", "file", "--users", "u0", "new", "--k", "3")
        ended = warm.launch("recommend", *words, folder=folder)
        assert "events.csv has 3 events that were added after file was trained" in ended.err[0]
        assert ended.out[0].count("model") == 6
        ended = warm.launch("evaluate", "--checkpoint", "file", "--k", "10", folder=folder)
        assert "3 events that were added" in ended.err[0]
        again = json.loads((folder / "file" / "evaluation.json").read_text())
        assert {n: again[n] for n in figures["file"]} == pytest.approx(figures["file"])
    finally:
        (folder / "events.csv").write_text(before)
