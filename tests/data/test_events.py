"""Events: rows taken, features chosen."""

import pickle

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data import read_events
from torchrec_ext.data.event_files import open_events, save_events
from torchrec_ext.errors import InputError


def test_features_are_chosen_again_and_checked():
    items = pd.DataFrame({"item": [1], "title": ["One"], "price": [2]})
    events = read_events(pd.DataFrame({"user": [1], "item": [1], "page": [3]}), items=items, context=["page"])
    fewer = events.select_features(item=(), context=())
    assert (fewer.item_features, fewer.context_features) == ((), ())
    assert (events.item_features, events.context_features) == (("price",), ("page",))
    assert fewer.select_features(item=["price"]).item_features == ("price",)
    with pytest.raises(InputError, match="'title' cannot be used as item feature; there are price"):
        events.select_features(item=["title"])


def test_take_keeps_the_marked_rows_in_order():
    events = read_events(pd.DataFrame({"user": [1, 2, 3], "item": [4, 5, 6]}))
    taken = events.take(np.array([True, False, True]))
    assert taken.frame["user"].tolist() == [1, 3] and taken.frame.index.tolist() == [0, 1]
    assert len(taken) == 2 and len(events) == 3
    with pytest.raises(InputError, match="mask must be 3 booleans"):
        events.take(np.array([0, 2]))
    assert "3 events of 3 users and 3 items; features none" in events.summary()


def test_pages_of_a_mapped_file_are_given_back_and_read_again(tmp_path):
    save_events(read_events(pd.DataFrame({"user": ["a", "b"], "item": [7, 8]})), tmp_path / "events")
    events = open_events(tmp_path / "events")
    codes = events.codes("item")
    events.release_pages()
    assert (codes.tolist(), events.frame["item"].tolist()) == ([0, 1], [7, 8])
    copied = pickle.loads(pickle.dumps(events))
    assert copied.mapped is None and copied.frame.equals(events.frame)
