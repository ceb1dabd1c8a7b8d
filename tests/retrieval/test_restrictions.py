"""Which items recommend() may give to whom, against the whole matrix of scores."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.retrieval.naive import expect_lists, naive_lists
from tests.retrieval.trained import EVENTS, trained
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import ExactIndex, ItemIndex, recommend

USERS = [5, 2, 40, 11, 12]
MODELS = ["history", "interests", "no index", "ranker"]
PRICE = EVENTS.items.set_index("item")["price"]
OWN = {2: [110, 120, 103, 104], 5: [101, 102, 103], 40: list(range(101, 131)), 12: []}
FORBIDDEN = {5: [101, 110, "x"], 11: list(range(101, 125))}


def pairs_of(items_of: dict) -> pd.DataFrame:
    pairs = [(user, item) for user, items in items_of.items() for item in items]
    return pd.DataFrame(pairs, columns=["user", "item"])


def has(items_of: dict, user: object, item: object) -> bool:
    return item in items_of.get(user, [])


CASES = {
    "candidates for everybody": (
        {"candidates": [103, "111", 120, 125]},
        lambda user, item: item in (103, 111, 120, 125),
    ),
    "candidates of each": ({"candidates": OWN}, lambda user, item: has(OWN, user, item)),
    "candidates in a frame": ({"candidates": pairs_of(OWN)}, lambda user, item: has(OWN, user, item)),
    "excluded for everybody": ({"exclude": [103, 999]}, lambda user, item: item != 103),
    "excluded for each": ({"exclude": FORBIDDEN}, lambda user, item: not has(FORBIDDEN, user, item)),
    "excluded in a frame": ({"exclude": pairs_of(FORBIDDEN)}, lambda u, i: not has(FORBIDDEN, u, i)),
    "a query": ({"where": "price < 5 and item != 104"}, lambda user, item: PRICE[item] < 5 and item != 104),
    "booleans": ({"where": EVENTS.items["price"] < 5}, lambda user, item: PRICE[item] < 5),
    "an array": ({"where": (EVENTS.items["price"] < 5).to_numpy()}, lambda user, item: PRICE[item] < 5),
    "a list feature": (
        {"where": EVENTS.items["genres"].map(lambda genres: "third" in genres)},
        lambda user, item: item % 3 == 0,
    ),
    "all at once": (
        {"candidates": OWN, "exclude": [103], "where": "price > 2"},
        lambda user, item: has(OWN, user, item) and item != 103 and PRICE[item] > 2,
    ),
    "seen ones too": ({"candidates": pairs_of(OWN), "exclude_seen": False}, lambda u, i: has(OWN, u, i)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", MODELS)
def test_lists_are_the_best_of_what_is_allowed(name, case):
    settings, allowed = CASES[case]
    model = trained(name)
    seen = settings.get("exclude_seen", True)
    for k in (4, 30):
        expected = naive_lists(model, EVENTS, USERS, k, allowed, exclude_seen=seen)
        expect_lists(recommend(model, EVENTS, USERS, k, **settings), expected)
        if name != "ranker":
            with_index = recommend(model, EVENTS, USERS, k, index=model.build_index(), **settings)
            expect_lists(with_index, expected)
    assert len(expected) < 5 * 30, "the restriction does something"


def test_few_requests_at_a_time_change_nothing(monkeypatch):
    settings = {"candidates": OWN, "exclude": FORBIDDEN}
    whole = recommend(trained("history"), EVENTS, USERS, 5, **settings)
    monkeypatch.setattr("torchrec_ext.retrieval.item_choice._LARGEST", 61)  # two users at a time
    pd.testing.assert_frame_equal(whole, recommend(trained("history"), EVENTS, USERS, 5, **settings))


@pytest.mark.parametrize("name", ["history", "ranker"])
def test_popular_items_keep_to_the_restrictions(name):
    counts = EVENTS.frame["item"].value_counts()
    settings = {"candidates": {"x": [104, 120, 125], "y": [101, 102], 5: [130]}, "exclude": {"x": [125]}}
    lists = recommend(trained(name), EVENTS, ["x", 5, "y"], 3, exclude_seen=False, **settings)
    of = {user: own["item"].tolist() for user, own in lists.groupby("user")}
    assert of[5] == [130]
    assert of["x"] == sorted([104, 120], key=lambda item: -counts[item])
    assert sorted(of["y"]) == [101, 102]
    everybody_unknown = recommend(trained(name), EVENTS, ["x", "y"], 2, where="price < 5")
    assert set(everybody_unknown["source"]) == {"popular"} and len(everybody_unknown) == 4
    assert (PRICE[everybody_unknown["item"]] < 5).all()


def test_an_index_of_some_items_holds_the_lists_to_them():
    model = trained("history")
    index = model.build_index(["103", 111, 120])
    assert isinstance(index, ItemIndex) and len(index) == 3
    lists = recommend(model, EVENTS, USERS, 3, index=index, exclude_seen=False)
    allowed = {103, 111, 120}
    expected = naive_lists(model, EVENTS, USERS, 3, lambda u, i: i in allowed, exclude_seen=False)
    expect_lists(lists, expected)
    popular = recommend(model, EVENTS, ["x"], 3, index=index)
    assert set(popular["item"]) == allowed, "popular items too"
    with pytest.raises(InputError, match="received 4, but the index has 3 items"):
        recommend(model, EVENTS, USERS, 4, index=index)


class Brute:
    """An index of somebody else, which keeps what the contract asks for and no more."""

    def build(self, vectors_ID, ids_I):
        self.vectors_ID, self.ids_I = vectors_ID.float(), ids_I

    def search(self, queries_BD, k, exclude=None):
        scores = queries_BD @ self.vectors_ID.T
        values, offsets = exclude
        for row in range(len(queries_BD)):
            scores[row, torch.isin(self.ids_I, values[offsets[row] : offsets[row + 1]])] = -torch.inf
        best, places = scores.topk(k)
        return best, torch.where(best == -torch.inf, -1, self.ids_I[places])


def test_an_index_of_ones_own_serves():
    model = trained("history")
    index = model.build_index(index=Brute())
    expected = naive_lists(model, EVENTS, USERS, 6, lambda u, i: not has(FORBIDDEN, u, i))
    expect_lists(recommend(model, EVENTS, USERS, 6, index=index, exclude=FORBIDDEN), expected)


def test_an_index_is_built_once(monkeypatch):
    model = trained("history")
    index = model.build_index()
    monkeypatch.setattr(model.module, "encode_items", None)  # it cannot be called
    assert len(recommend(model, EVENTS, USERS, 3, index=index)) == 15
    assert isinstance(index.index, ExactIndex) and index.rows.tolist() == list(range(1, 31))


def test_an_index_of_another_model_is_refused():
    index = trained("user").build_index()
    with pytest.raises(
        InputError, match=r"index holds the vectors of another model; give this model's build_i"
    ):
        recommend(trained("history"), EVENTS, USERS, 3, index=index)
    with pytest.raises(InputError, match="index needs a retriever"):
        recommend(trained("ranker"), EVENTS, USERS, 3, index=index)
    with pytest.raises(
        InputError, match=r"index should be what build_index\(\) returned, received ExactIndex"
    ):
        recommend(trained("history"), EVENTS, USERS, 3, index=ExactIndex())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": ["a", "b"]}, "candidates is known; they are strings, such as 'a', but .* integers"),
        ({"candidates": [5, 6]}, "ids in candidates is known; the model has not learnt from 5"),
        ({"candidates": "103"}, "candidates should be a list of ids, received '103'; put it in a list"),
        ({"candidates": {2: "103"}}, r"candidates\[2\] should be a list of ids, received '103'"),
        ({"candidates": []}, "none of the 30 items is left after candidates; allow at least one"),
        ({"exclude": list(range(101, 131))}, "none of the 30 items is left after exclude"),
        ({"exclude": pd.DataFrame({"item": [1]})}, "exclude lack the column 'user'; they have item"),
        ({"where": "price < 0"}, "none of the 30 items is left after where"),
        ({"where": "prise < 5"}, "where is 'prise < 5': name 'prise' is not defined; the columns of items"),
        ({"where": "price <"}, "where is 'price <': invalid syntax"),
        ({"where": "price + 1"}, "where should give 30 booleans, one a row of events.items; received 30"),
        ({"where": [True, False]}, "where should give 30 booleans, .* received 2 of type bool"),
        ({"where": EVENTS.items["price"].iloc[1:] < 5}, "where should have the index of events.items"),
    ],
)  # fmt: skip
def test_restrictions_that_cannot_be_kept_are_explained(settings, message):
    with pytest.raises(InputError, match=message):
        recommend(trained("history"), EVENTS, USERS, 2, **settings)


def test_where_needs_a_table_of_items():
    from_frame = EVENTS.select_features(item=())
    assert len(recommend(trained("history"), from_frame, [2], 2, where="price < 5")) == 2
    with pytest.raises(InputError, match="where needs the columns of items, but"):
        recommend(trained("history"), sessions=[[101]], k=2, where="price < 5")


def test_missing_values_of_a_condition_are_false():
    where = pd.Series(np.where(EVENTS.items["item"] < 110, True, None)).astype("boolean")
    lists = recommend(trained("history"), EVENTS, USERS, 30, where=where, exclude_seen=False)
    assert set(lists["item"]) == set(range(101, 110))
