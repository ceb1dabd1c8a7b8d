"""How many ids of the events have a row in a side table: counted, warned of, refused."""

import dataclasses
import logging
import warnings

import pandas as pd
import pytest

from torchrec_ext.data import clean, read_events
from torchrec_ext.data.event_files import open_events, save_events
from torchrec_ext.data.source import SideMatch
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.errors import InputError

EVENTS = pd.DataFrame({"user": ["1", "2", "3", "1"], "item": [10, 20, 30, 40]})


def users(*ids):
    return pd.DataFrame({"user": ids, "age": range(len(ids))})


def silent(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_events(*args, **kwargs)


def test_ids_written_otherwise_are_refused(tmp_path):
    (tmp_path / "events.csv").write_text("user,item\n1,7\n2,8\n")
    (tmp_path / "users.csv").write_text("user,age\n0001,30\n0002,40\n")
    with pytest.raises(InputError) as refusal:
        read_events(tmp_path / "events.csv", users=tmp_path / "users.csv")
    assert str(refusal.value) == (
        f"{tmp_path / 'users.csv'} has a row for none of the 2 users of the events; expected the same ids, "
        "received '1' in the events, '0001' in the table; write them alike, or leave the table out"
    )


def test_a_table_of_items_that_matches_nothing_is_refused():
    with pytest.raises(InputError, match="the table of items has a row for none of the 4 items"):
        read_events(EVENTS, items=pd.DataFrame({"item": [1, 2], "price": 1}))


def test_less_than_half_is_warned_of():
    with pytest.warns(UserWarning) as caught:
        events = read_events(EVENTS, users=users("1", "02", "03", "04"))
    assert [str(w.message) for w in caught] == [
        "the table of users has a row for 1 of 3 users of the events (33.3%); the features of the others, "
        "such as '2', are missing: check that both write ids alike"
    ]
    assert caught[0].filename == __file__
    assert events.source.sides == (SideMatch("the table of users", "user", 1, 3),)


def test_half_is_enough_and_rows_that_no_event_names_do_not_count():
    more = pd.DataFrame({"item": [10, 20, *range(1000, 1100)], "price": 1})
    assert silent(EVENTS, items=more).source.sides == (SideMatch("the table of items", "item", 2, 4),)


def test_it_is_shown_and_kept(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        events = silent(EVENTS, users=users("1", "2"), items=pd.DataFrame({"item": [10, 20, 30], "p": 1}))
    said = ["the table of users has a row for 2 of 3 users", "the table of items has a row for 3 of 4 items"]
    assert [line for line in caplog.messages if "has a row" in line] == said
    assert "; ".join(said) in events.summary()
    assert all(f"tables   {line}" in str(events.describe()) for line in said)
    assert clean(events, min_user_events=2).source.sides == events.source.sides
    save_events(events, tmp_path / "kept")
    opened = open_events(tmp_path / "kept")
    assert dataclasses.asdict(opened.source) == dataclasses.asdict(events.source)
    assert opened.source.sides == events.source.sides


def test_each_table_counts_for_itself():
    declared = Declaration(
        "mine",
        (TableFile(EVENTS),),
        users=(TableFile(users("1", "2", "3")), TableFile(users("9"), {"age": None})),
    )
    with pytest.raises(InputError, match="has a row for none of the 3 users"):
        read_events(declared)


def test_only_rows_that_were_kept_count():
    """The user without an item is set aside, so he is none of the events."""
    frame = pd.DataFrame({"user": [1, 2, 2], "item": ["a", None, None]})
    events = silent(frame, users=pd.DataFrame({"user": [1], "age": [30]}), max_bad_share=1)
    assert events.source.sides[0].ids == 1
