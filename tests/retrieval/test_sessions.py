"""Anonymous sessions in recommend()."""

import numpy as np
import pandas as pd
import pytest

from tests.retrieval.naive import naive_lists
from tests.retrieval.trained import EVENTS, trained
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import recommend

USERS = [5, 2, 40, 1]
FRAME = EVENTS.frame[EVENTS.frame["user"].isin(USERS)]
LISTS = [FRAME.loc[FRAME["user"] == user, "item"].tolist() for user in USERS]
TABLE = FRAME.rename(columns={"user": "session"})
NAMES = ["e", "b", "d", "a"]


def expect_the_users(lists: pd.DataFrame, name: str, k: int = 30, names=range(4), **settings) -> None:
    """Asserts that a session gets what a user gets who has its events."""
    expected = naive_lists(trained(name), EVENTS, USERS, k, **settings)
    expected["user"] = expected["user"].map(dict(zip(USERS, names, strict=True)))
    assert set(lists["source"]) == {"model"}
    got = lists.drop(columns="source").rename(columns={"session": "user"})
    pd.testing.assert_frame_equal(got, expected, check_dtype=False, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["history", "interests", "no index"])
def test_a_session_is_a_history(name):
    model = trained(name)
    expect_the_users(recommend(model, sessions=LISTS, k=30), name)
    expect_the_users(recommend(model, EVENTS, sessions=LISTS, k=30), name)
    expect_the_users(recommend(model, sessions=LISTS, k=5, index=model.build_index()), name, 5)
    expect_the_users(recommend(model, sessions=LISTS, k=30, exclude_seen=False), name, exclude_seen=False)
    words = [np.array(items).astype(str) for items in LISTS]
    expect_the_users(recommend(model, sessions=words, k=30), name)


def test_a_table_of_sessions_is_in_the_order_of_its_times():
    names = dict(zip(USERS, NAMES, strict=True))
    table = TABLE.assign(session=TABLE["session"].map(names))
    first = list(dict.fromkeys(table["session"]))
    expected = naive_lists(trained("history"), EVENTS, [USERS[NAMES.index(n)] for n in first], 30)
    shuffled = table.sample(frac=1, random_state=0)
    for given in (table, shuffled, table[["session", "item"]]):
        lists = recommend(trained("history"), sessions=given, k=30)
        assert lists["session"].drop_duplicates().tolist() == list(dict.fromkeys(given["session"]))
        scores = lists.assign(user=lists["session"].map(dict(zip(NAMES, USERS, strict=True))))
        merged = expected.merge(scores, on=["user", "item"], validate="one_to_one")
        assert len(merged) == len(expected) == len(lists)
        np.testing.assert_allclose(merged["score_x"], merged["score_y"], atol=1e-5)


def test_times_and_context_of_the_events_reach_the_model():
    for name in ("times", "events"):
        lists = recommend(trained(name), sessions=TABLE, k=30)
        order = TABLE["session"].drop_duplicates().tolist()
        expected = naive_lists(trained(name), EVENTS, order, 30)
        pd.testing.assert_frame_equal(
            lists.drop(columns="source").rename(columns={"session": "user"}),
            expected, check_dtype=False, atol=1e-5, rtol=1e-5,
        )  # fmt: skip
    dated = TABLE.assign(timestamp=pd.to_datetime(TABLE["timestamp"], unit="s"))
    pd.testing.assert_frame_equal(
        recommend(trained("times"), sessions=dated, k=9), recommend(trained("times"), sessions=TABLE, k=9)
    )
    with pytest.warns(UserWarning, match="the model reads the times of events, but the sessions have none"):
        recommend(trained("times"), sessions=LISTS, k=2)
    with pytest.raises(
        InputError, match="sessions lack the column 'device', which the model reads of each ev"
    ):
        recommend(trained("events"), sessions=LISTS, k=2)


def test_restrictions_name_sessions():
    model, lists = trained("history"), LISTS[:2]
    settings = {
        "candidates": {0: [101, 102, 103], 1: [104, 105]},
        "exclude": {0: [102]},
        "exclude_seen": False,
    }
    found = recommend(model, EVENTS, sessions=lists, k=5, where="item != 105", **settings)
    assert {s: set(own["item"]) for s, own in found.groupby("session")} == {0: {101, 103}, 1: {104}}
    frame = pd.DataFrame({"session": ["a", "b"], "item": [101, 102]})
    named = recommend(model, sessions=frame, k=5, candidates=frame, exclude_seen=False)
    assert named[["session", "item"]].to_numpy().tolist() == [["a", 101], ["b", 102]]


def test_a_session_of_which_nothing_is_known():
    model = trained("history")
    lists = recommend(model, EVENTS, sessions=[[101, 102], []], k=3)
    assert lists["source"].tolist() == ["model"] * 3 + ["popular"] * 3
    counts = EVENTS.frame["item"].value_counts()
    assert lists["score"].tolist()[3:] == counts.head(3).tolist()
    with pytest.warns(
        UserWarning, match="nothing is known of 1 of the 2 sessions, such as 1: they get no list"
    ):
        assert set(recommend(model, sessions=[[101, 102], []], k=3)["session"]) == {0}
    with pytest.warns(UserWarning, match="nothing is known of 2 of the 2 sessions"):
        nothing = recommend(model, sessions=[[], []], k=3)
    assert nothing.empty and nothing.columns.tolist() == ["session", "item", "score", "rank", "source"]


@pytest.mark.parametrize(
    ("name", "sessions", "message"),
    [
        ("user", LISTS, "sessions are histories, but this model reads no history; give users instead"),
        ("history", [], "sessions is empty; give at least one"),
        ("history", [101, 102], "sessions should be lists of item ids, one a session; received 101"),
        ("history", ["ab"], "sessions should be lists of item ids, one a session; received 'ab' among them"),
        ("history", TABLE.drop(columns="session"), "sessions lack the column 'session'; they have item"),
        ("history", [["a", "b"], ["c"]], "none of the item ids in sessions is known; they are strings, such"),
    ],
)  # fmt: skip
def test_sessions_that_cannot_be_served_are_explained(name, sessions, message):
    with pytest.raises(InputError, match=message):
        recommend(trained(name), sessions=sessions, k=2)
