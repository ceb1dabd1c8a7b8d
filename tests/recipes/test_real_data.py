"""The recipes on the public data sets, each by its name alone."""

import json
import os

import pandas as pd
import pytest

from torchrec_ext.data import read_events

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "TORCHREC_EXT_DATA" not in os.environ,
        reason="TORCHREC_EXT_DATA names no folder of the public data sets",
    ),
]

RETRIEVAL = {
    "ml-100k": (),
    "amazon-beauty": ("--item-fields", "item_attributes", "--loss.candidates", "sampled"),
    "yoochoose": (),
    "ciao": ("--history-fields", "context_category", "--query-fields", "user_trusts"),
    "tiktok": ("--item-fields", "item_image", "item_audio", "--epochs", "2"),
}
RANKING = {"ml-100k": (), "ciao": (), "yidian": (), "criteo": ()}
SMALL = ("--dim", "16", "--epochs", "1", "--max-length", "20")


def figures(run, name="metrics"):
    return json.loads((run / f"{name}.json").read_text())


@pytest.mark.parametrize("data", RETRIEVAL)
def test_a_retriever_is_better_than_popularity_and_recommends(warm, tmp_path, data):
    words = ("--data", data, *SMALL, *RETRIEVAL[data], "--k", "10", "--output", "run")
    ended = warm.launch("train_retrieval", *words, folder=tmp_path, processes=2 if data == "tiktok" else 1)
    assert "popularity alone: hr@10" in ended.out[0]
    trained = figures(tmp_path / "run")
    least = 0.9 if data == "ciao" else 1.2  # an epoch learns little more than popularity of ciao
    assert trained["ndcg@10"] > least * trained["popularity"]["ndcg@10"]
    warm.launch("evaluate", "--checkpoint", "run", "--k", "10", folder=tmp_path)
    again = figures(tmp_path / "run", "evaluation")
    assert again["ndcg@10"] == pytest.approx(trained["ndcg@10"], abs=1e-3)
    assert again["popularity"] == trained["popularity"]
    user = str(read_events(data).frame["user"].iloc[-1])
    words = ("--checkpoint", "run", "--users", user, "--k", "5", "--output", "top.csv")
    warm.launch("recommend", *words, folder=tmp_path)
    assert len(pd.read_csv(tmp_path / "top.csv")) == 5


@pytest.mark.parametrize("data", RANKING)
def test_a_ranker_learns_evaluates_and_predicts(warm, tmp_path, data):
    words = ("--data", data, "--dim", "16", "--epochs", "2", "--output", "run")
    ended = warm.launch("train_ranking", *words, folder=tmp_path, processes=2 if data == "criteo" else 1)
    clicks = data in ("yidian", "criteo")
    assert f"a rating of {1 if clicks else 4} or more means interest" in ended.out[0]
    trained = figures(tmp_path / "run")
    assert trained["auc"] > max(trained["popularity"]["auc"], 0.55)
    assert figures(tmp_path / "run", "settings")["positive"] == [1.0 if clicks else 4.0]
    warm.launch("evaluate", "--checkpoint", "run", folder=tmp_path)
    assert figures(tmp_path / "run", "evaluation")["auc"] == pytest.approx(trained["auc"], abs=1e-3)
    events = read_events(data)
    pairs = events.frame.head(30).drop(columns="rating")
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    words = ("--checkpoint", "run", "--pairs", "pairs.csv", "--output", "scores.csv")
    warm.launch("predict", *words, folder=tmp_path)
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert len(scores) == 30 and scores["score"].between(0, 1).all()
    assert scores["known"].mean() > 0.9, "all but the few items that training has not learnt from"
    assert scores["score"].nunique() > 10
    if data == "criteo":
        words = ("--checkpoint", "run", "--users", "1")
        ended = warm.launch("recommend", *words, folder=tmp_path, succeeds=False)
        assert ended.status == 2 and "has no items, so there is nothing to recommend" in ended.error
    else:
        user = str(events.frame["user"].iloc[-1])
        words = ("--checkpoint", "run", "--users", user, "--k", "5", "--output", "top.csv")
        warm.launch("recommend", *words, folder=tmp_path)
        assert len(pd.read_csv(tmp_path / "top.csv")) == 5


def test_data_without_users_or_items_is_no_retrievers(warm, tmp_path):
    ended = warm.launch("train_retrieval", "--data", "criteo", folder=tmp_path, succeeds=False)
    assert ended.status == 2 and "criteo has no column of items, which this needs" in ended.error
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("data", ["criteo", "yidian", "ciao", "tiktok", "yoochoose", "amazon-beauty"])
def test_each_is_described(warm, tmp_path, data):
    out = warm.launch("describe", "--data", data, folder=tmp_path).out[0]
    assert "features" in out and "train" in out
