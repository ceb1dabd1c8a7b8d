"""Prepared data: the same parts as in memory, kept whole or not at all, opened again."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import START
from torchrec_ext.data import SPLITS, clean, open_prepared, prepare, read_events
from torchrec_ext.data.event_files import open_events, save_events
from torchrec_ext.errors import InputError

ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.integers(1, 5), st.integers(START, START + 40), st.integers(1, 5),
        st.sampled_from(["view", "purchase"]), st.sampled_from([None, 0.5, 2.0]),
        st.lists(st.sampled_from(["red", "shoe"]), max_size=2),
    ),
    min_size=12,
    max_size=40,
)  # fmt: skip
READ = {
    "columns": {"words": {"column": "a/b.c", "kind": "categories"}},
    "context": {"type": {}, "price": {"kind": "number", "indicator": True}, "words": {}},
    "items": pd.DataFrame({
        "item": [1, 2, 3, 9],
        "tags": [["x"], [], ["x", "y"], None],
        "image": [np.array([1.0, 2.0], np.float32), None, np.array([0.0, 1.0], np.float32), None],
    }),
}  # fmt: skip


def table(rows):
    names = ["user", "item", "timestamp", "rating", "type", "price", "a/b.c"]
    return pd.DataFrame(rows, columns=names).astype({"price": float})


def assert_same(log, other):
    assert log.user_ids.tolist() == other.user_ids.tolist()
    for name in ("user_rows", "offsets", "items", "source_rows", "times", "ratings", "weights"):
        assert getattr(log, name).tolist() == getattr(other, name).tolist()
        assert getattr(log, name).dtype == getattr(other, name).dtype
    assert log.context.keys() == other.context.keys()
    for name, column in log.context.items():
        assert column.tolist() == other.context[name].tolist()


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, split=st.sampled_from(["by_ratio", "by_user", "leave_last_out"]))
def test_the_parts_are_those_made_in_memory(tmp_path_factory, rows, split):
    folder = tmp_path_factory.mktemp("prepared") / "visits"
    events = clean(read_events(table(rows), **READ), duplicates="last")
    try:
        expected = SPLITS[split](events)
    except InputError as refusal:
        with pytest.raises(InputError, match=str(refusal)[:20]):
            prepare(table(rows), folder, read=READ, clean_by={"duplicates": "last"}, split=split)
        assert list(folder.parent.iterdir()) == []  # nothing is left
        return
    made = prepare(table(rows), folder, read=READ, clean_by={"duplicates": "last"}, split=split)
    for parts in (made, open_prepared(folder)):
        for part, other in zip(parts, expected, strict=True):
            assert (part.name, part.report) == (other.name, other.report)
            for name in ("rows", "history_only"):
                assert getattr(part, name).tolist() == getattr(other, name).tolist()
            assert_same(part.log, other.log)
            assert_same(part.events, other.events)
            assert part.schema == other.schema
            assert str(part.describe()) == str(other.describe())
        assert parts[0].log is parts[2].log
        for log in (parts[0].log, parts[0].events):
            for column in (log.items, log.times, log.ratings, log.weights, log.context["context_type"]):
                assert isinstance(column, np.memmap) and not column.flags.writeable
        assert parts[0].known_before(parts[0])[0] is parts[0].events  # no copy
        known, ends = (parts[0] + parts[1]).known_before(parts[2])
        other_known, other_ends = (expected[0] + expected[1]).known_before(expected[2])
        assert_same(known, other_known)
        assert ends.tolist() == other_ends.tolist()


def rows_of(number):
    return [("ab"[i % 2], i % 3 + 1, START + i, i % 5 + 1, "view", 1.0, ["red"]) for i in range(number)]


def test_bad_rows_are_kept_beside_the_data(tmp_path):
    rows = [*rows_of(20), ("a", 1, float("inf"), 1, "view", 1.0, [])]
    prepare(table(rows), tmp_path / "visits", read={**READ, "max_bad_share": 0.1})
    rejected = pd.read_parquet(tmp_path / "visits" / "rejected.parquet")
    assert rejected[["line", "column"]].values.tolist() == [[21, "timestamp"]]


def test_a_folder_that_is_there_stays_unless_it_is_to_be_replaced(tmp_path):
    folder, more = tmp_path / "visits", table(rows_of(24))
    prepare(table(rows_of(20)), folder)
    for changed, match in (
        ({}, r"is there already; open it with open_prepared"),
        ({"split": "by_hand", "overwrite": True}, "split should be 'leave_last_out' or"),
        ({"clean_by": {"min_rating": 9}, "overwrite": True}, "min_rating=9 removes all events"),
    ):
        with pytest.raises(InputError, match=match):
            prepare(more, folder, **changed)
    assert len(open_prepared(folder)[0]) == 16
    assert len(prepare(more, folder, overwrite=True)[0]) == 20
    assert [p.name for p in tmp_path.iterdir()] == ["visits"]


def test_what_is_not_whole_is_refused(tmp_path):
    folder = tmp_path / "visits"
    with pytest.raises(InputError, match="holds no prepared data"):
        open_prepared(folder)
    prepare(table(rows_of(20)), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    items = "version-1/log/items.npy"
    for file, content, match in (
        (items, (folder / items).read_bytes()[:-4], "has 204 bytes of 208; bring it back"),
        (items, None, "items.npy is not there"),
        ("manifest.json", json.dumps({**manifest, "version": 0}).encode(), "another release"),
        ("manifest.json", b"{", "cut short"),
    ):
        whole = (folder / file).read_bytes()
        (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
        with pytest.raises(InputError, match=match):
            open_prepared(folder)
        (folder / file).write_bytes(whole)
    assert len(open_prepared(folder)[0]) == 16


def test_events_come_back_from_their_folder_whose_pages_are_given_back(tmp_path):
    events = read_events(table(rows_of(8)), **READ, weights={"view": 3.0})
    save_events(events, tmp_path / "events")
    again = open_events(tmp_path / "events")
    codes = again.codes("item")
    again.release_pages()
    assert codes.tolist() == events.codes("item").tolist()
    pd.testing.assert_frame_equal(again.frame, events.frame)
    copied = pickle.loads(pickle.dumps(again))
    assert copied.mapped is None and copied.item_features == again.item_features
    pd.testing.assert_frame_equal(copied.frame, events.frame)
    assert again.items["tags"].tolist() == [["x"], [], ["x", "y"], []]
    np.testing.assert_array_equal(np.stack(again.items["image"]), np.stack(events.items["image"]))
    assert np.isnan(again.items["image"][1]).all() and again.items["image"][2].tolist() == [0, 1]
    assert (again.source, again.options, again.weights) == (events.source, events.options, events.weights)
    assert again.context_features == ("type", "price", "words") and again.item_features == ("tags", "image")
