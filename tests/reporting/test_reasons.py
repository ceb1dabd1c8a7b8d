"""Reasons under the lists side by side: the event that raised a score most, worked out by hand."""

import pandas as pd
import pytest

from tests.explanation.by_hand import built, mean_of_songs, rows
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.models import TwoTower
from torchrec_ext.reporting import EvaluatedRun, Reasons, compare

HEARD = {1: "abcd", 2: "bcda", 3: "cdab"}


@pytest.fixture(scope="module")
def songs():
    heard = pd.DataFrame([(u, i) for u, items in HEARD.items() for i in items], columns=["user", "item"])
    titles = pd.DataFrame({"item": list("abcd"), "title": ["Song <a>", "Song b", None, "Song d"]})
    return leave_last_out(read_events(heard, items=titles, catalogue="all"))


def run_of(name, trained, songs) -> EvaluatedRun:
    train, valid, test = songs
    found = evaluate(trained, train + valid, test, k=(2,), exclude_seen=False, per_user=True)
    return EvaluatedRun(name, found.as_json(card=found.card), {}, found.per_user)


def how(models, songs, **more) -> dict:
    train, valid, test = songs
    return {
        "k": 2, "metrics": ["mrr"], "users": [1, 2, 3], "resamples": 5, "draw": False,
        "reasons": Reasons(lambda run: (models[run.name], train + valid, test), **more),
    }  # fmt: skip


def test_the_event_that_raised_a_score_most_stands_under_its_item(songs):
    models = {"mean": mean_of_songs(songs[0])}
    found = compare([run_of("mean", models["mean"], songs)], **how(models, songs))
    lists = found.lists.set_index(["user", "item"])
    # of user 1 the mean of a (1, 0), b (0, 2) and c (3, 1), times c: without c it falls from 5 to 2.5
    assert lists.loc[(1, "c"), "reason"] == "c"  # which has no title
    assert set(found.lists["title"]) == {"c", "Song d", "Song b"}
    # of user 2, b, c and d: of the score of b, 2 * (2 + 1 + 1) / 3, b raises most
    assert lists.loc[(2, "b"), "reason"] == "Song b"
    assert "because of Song b</small>" in found.to_html() and '"reason": "Song b"' in found.to_json()
    assert "by leave_one_out" in " ".join(found.notes)


def test_no_more_items_are_explained_than_wanted(songs):
    models = {"mean": mean_of_songs(songs[0])}
    arguments = how(models, songs, most=3, method="integrated_gradients")
    found = compare([run_of("mean", models["mean"], songs)], **arguments)
    assert found.lists.groupby("place")["reason"].count().tolist() == [3, 0]  # first places first
    assert any("by integrated_gradients" in note and "At most 3 items" in note for note in found.notes)


def test_a_model_without_history_says_once_that_it_has_no_reasons(songs):
    train = songs[0]
    weights = {
        f"embeddings.tables.{n}.weight": rows(train, n, {i: [1.0]}) for n, i in (("item", "a"), ("user", 1))
    }
    models = {"mean": mean_of_songs(train), "mf": built(TwoTower(train.schema, 1), train, weights)}
    found = compare([run_of(name, model, songs) for name, model in models.items()], **how(models, songs))
    assert [note for note in found.notes if "No reasons" in note] == [
        "No reasons for mf: the model reads no history."
    ]
    explained = found.lists.groupby("run")["reason"].count()
    assert explained["mean"] > 0 and explained["mf"] == 0


def test_data_of_other_users_explains_nothing(songs):
    others = leave_last_out(read_events(pd.DataFrame({"user": [8] * 3 + [9] * 3, "item": list("abcbca")})))
    run = run_of("mean", mean_of_songs(songs[0]), songs)
    found = compare([run], **how({"mean": mean_of_songs(others[0])}, others))
    assert any("No reasons for mean: evaluated returns data of other users" in note for note in found.notes)


def test_weights_of_attention_are_not_reasons():
    with pytest.raises(InputError, match="method should be .*received 'attention'"):
        Reasons(lambda run: ..., method="attention")


def test_without_reasons_the_page_says_nothing_of_them(songs):
    models = {"mean": mean_of_songs(songs[0])}
    found = compare([run_of("mean", models["mean"], songs)], **how(models, songs) | {"reasons": None})
    assert "because of" not in (html := found.to_html()) and "raised its score most" not in html
    assert "reason" not in found.lists
