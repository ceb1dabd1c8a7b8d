"""Prepared data: the parts made in memory, whole or not at all; later events are added and no row moves."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import START
from torchrec_ext.data import (
    SPLITS,
    append,
    clean,
    leave_last_out,
    open_prepared,
    prepare,
    read_events,
    sessions,
)
from torchrec_ext.data.prepared import keep_parts
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
ITEMS = {
    "item": [1, 2, 3, 9], "tags": [["x"], [], ["x", "y"], None],
    "image": [np.array([1.0, 2.0], np.float32), None, np.array([0.0, 1.0], np.float32), None],
}  # fmt: skip
READ = {
    "columns": {"words": {"column": "a/b.c", "kind": "categories"}},
    "context": {"type": {}, "price": {"kind": "number", "indicator": True}, "words": {}},
    "items": pd.DataFrame(ITEMS),
    "weights": {"view": 3.0},
    "labels": ["price"],
}


def table(rows):
    names = ["user", "item", "timestamp", "rating", "type", "price", "a/b.c"]
    return pd.DataFrame(rows, columns=names).astype({"price": float})


def content(log):
    """The type and the values of every column."""
    columns = {**vars(log), **log.context, **log.labels}
    del columns["context"], columns["labels"]
    return {
        n: (str(getattr(c, "dtype", "lists")), repr(c.tolist())) for n, c in columns.items()
    }  # repr, as NaN is not itself


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
            assert (part.name, part.report, part.schema) == (other.name, other.report, other.schema)
            for name in ("rows", "history_only"):
                assert getattr(part, name).tolist() == getattr(other, name).tolist()
            assert content(part.log) == content(other.log) and content(part.events) == content(other.events)
            assert str(part.describe()) == str(other.describe())
        train, log = parts[0], parts[0].log
        assert log is parts[2].log and train.known_before(train)[0] is train.events  # no copy
        for column in (log.items, log.times, log.ratings, log.weights, log.context["context_type"]):
            assert isinstance(column, np.memmap) and not column.flags.writeable
        known, ends = (train + parts[1]).known_before(parts[2])
        other_known, other_ends = (expected[0] + expected[1]).known_before(expected[2])
        assert content(known) == content(other_known) and ends.tolist() == other_ends.tolist()
        mapped = train.table
        mapped.release_pages()
        copied = pickle.loads(pickle.dumps(mapped))
        assert mapped.mapped is not None and copied.mapped is None
        for kept in (mapped, copied):
            pd.testing.assert_frame_equal(kept.frame, events.frame)
            pd.testing.assert_frame_equal(kept.items, events.items)
            assert (kept.options, kept.weights) == (events.options, events.weights)
            assert kept.context_features == ("type", "price", "words")


def rows_of(number):
    return [("ab"[i % 2], i % 3 + 1, START + i, i % 5 + 1, "view", 1.0, ["red"]) for i in range(number)]


def test_bad_rows_are_kept_beside_the_data(tmp_path):
    rows = [*rows_of(20), ("a", 1, float("inf"), 1, "view", 1.0, [])]
    prepare(table(rows), tmp_path / "visits", read={**READ, "max_bad_share": 0.1})
    rejected = pd.read_parquet(tmp_path / "visits" / "rejected.parquet")
    assert rejected[["line", "column"]].values.tolist() == [[21, "timestamp"]]


@pytest.fixture
def folder(tmp_path):
    prepare(table(rows_of(20)), tmp_path / "visits")
    return tmp_path / "visits"


def test_a_folder_that_is_there_stays_unless_it_is_to_be_replaced(folder):
    more = table(rows_of(24))
    for changed, match in (
        ({}, r"is there already; open it with open_prepared"),
        ({"split": "by_hand", "overwrite": True}, "split should be 'leave_last_out' or"),
        ({"clean_by": {"min_rating": 9}, "overwrite": True}, "min_rating=9 removes all events"),
    ):
        with pytest.raises(InputError, match=match):
            prepare(more, folder, **changed)
    assert len(open_prepared(folder)[0]) == 16
    assert len(prepare(more, folder, overwrite=True)[0]) == 20
    assert [path.name for path in folder.parent.iterdir()] == ["visits"]


ITEM_ROWS = "version-1/log/items.npy"


@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        (ITEM_ROWS, lambda whole: whole[:-4], "has 204 bytes of 208; bring it back"),
        (ITEM_ROWS, None, "items.npy is not there"),
        ("manifest.json", lambda whole: whole.replace(b'version": ', b'version": 9'), "another release"),
        ("manifest.json", lambda _: b"{", "cut short"),
        ("manifest.json", None, "holds no prepared data"),
    ],
)
def test_what_is_not_whole_is_refused(folder, file, change, match):
    whole = (folder / file).read_bytes()
    (folder / file).unlink()
    if change:
        (folder / file).write_bytes(change(whole))
    with pytest.raises(InputError, match=match):
        open_prepared(folder)
    (folder / file).write_bytes(whole)
    assert len(open_prepared(folder)[0]) == 16


SHOP = {
    "context": {"device": {"kind": "category"}, "price": {"kind": "number"}},
    "items": pd.DataFrame({"item": ["a", "b", "c", "d"], "brand": ["x", "y", "x", "x"]}),
}


def visits(users, items, start=0, devices="phone", price=1.0):
    times = 1_700_000_000 + 60 * np.arange(start, start + len(users))
    columns = {"user": users, "item": list(items), "timestamp": times, "device": devices, "price": price}
    return pd.DataFrame(columns)


EARLY = visits(["ann"] * 4 + ["bob"] * 4, "dcbabcda", devices=["phone", "desk"] * 4, price=np.arange(8.0))
LATE = visits(["cem"] * 3 + ["ann"] * 2, "eabea", start=100, devices=["tv"] * 4 + ["desk"], price=50.0)
ALL = {"ann": list("dcbaea"), "bob": list("bcda"), "cem": list("eab")}


@pytest.fixture
def shop(tmp_path):
    """A folder with the early events."""
    prepare(EARLY, tmp_path / "shop", read=SHOP)
    return tmp_path / "shop"


def words(part, table):
    return list(part.preparation.vocabularies[table].index)


def histories(part):
    """Of each user the items, by their ids, in the log's order."""
    items = part.preparation.vocabularies["item"].ids(part.log.items)
    users = np.repeat(part.log.user_ids, np.diff(part.log.offsets))
    return pd.Series(items).groupby(users).agg(list).to_dict()


@pytest.mark.parametrize("as_events", [False, True])
def test_no_row_moves_and_nothing_is_fitted_anew(shop, as_events):
    before = open_prepared(shop)[0]
    more = read_events(LATE, context=SHOP["context"]) if as_events else LATE
    train, valid, test = append(shop, more)
    for table, new in (("user", ["cem"]), ("item", ["e"]), ("context_device", ["tv"])):
        assert words(train, table) == words(before, table) + new
    assert train.preparation.fitted["context_price"] == before.preparation.fitted["context_price"]
    assert (len(train), len(valid), len(test)) == (4 + 2 + 1, 3, 3)
    assert train.preparation.sides["item"].ids("item_brand", np.array([1, 5]))[0].tolist() == [2, 0]
    assert train.table.source.rows == 13
    assert histories(train) == histories(open_prepared(shop)[0]) == ALL


def test_side_features_of_new_and_known_items_are_added(shop):
    train, _, _ = append(shop, LATE, items=pd.DataFrame({"item": ["e", "a"], "brand": ["y", "y"]}))
    rows = train.preparation.vocabularies["item"].rows(list("abcde"))
    brands = train.preparation.sides["item"].ids("item_brand", rows)[0]
    assert train.preparation.vocabularies["item_brand"].ids(brands).tolist() == list("yyxxy")


def test_an_item_that_was_too_rare_gets_a_row_behind_the_others(tmp_path):
    before, _, _ = prepare(visits(["ann"] * 5, "dcdcr"), tmp_path / "shop", split_by={"min_count": 2})
    train, _, _ = append(tmp_path / "shop", visits(["bob"] * 3, "rrd", start=50))
    assert (words(before, "item"), words(train, "item")) == (["d", "c"], ["d", "c", "r"])


def test_files_and_tables_in_memory_follow_a_file_of_another_layout(tmp_path):
    """Appending twice is as good as once."""
    columns = {"user": "user", "item": "item", "timestamp": "timestamp"}
    EARLY.to_csv(tmp_path / "early.csv", sep=";", index=False)
    LATE[:3].to_csv(tmp_path / "late.csv", sep=";", index=False)
    prepare(tmp_path / "early.csv", tmp_path / "shop", read={"delimiter": ";", "columns": columns})
    append(tmp_path / "shop", tmp_path / "late.csv")
    train, _, _ = append(tmp_path / "shop", LATE[3:])
    assert histories(train) == ALL and words(train, "item") == list("dcbae")


def test_an_interrupted_append_leaves_the_folder_as_it_was(shop, monkeypatch):
    before = open_prepared(shop)[0]
    with monkeypatch.context() as patch:
        patch.setattr("torchrec_ext.data.prepared.Preparation.save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            append(shop, LATE)
    assert histories(open_prepared(shop)[0]) == histories(before)
    assert histories(append(shop, LATE)[0]) == ALL
    assert [path.name for path in shop.glob("version-*")] == ["version-2"]
    assert len(before.log) == 8 and before.log.items[:4].tolist() == [1, 2, 3, 4]  # still mapped


def test_a_later_test_part_is_chosen_by_the_split(tmp_path):
    first = {"valid_from": 1_700_000_240, "test_from": 1_700_000_360}
    later = {"valid_from": 1_700_006_000, "test_from": 1_700_006_120}
    prepare(EARLY, tmp_path / "shop", split="by_time", split_by=first)
    assert [len(part) for part in append(tmp_path / "shop", LATE, split_by=later)] == [8, 2, 3]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (pd.concat([EARLY[6:], LATE]), "2 of the 7 new events have the user, item and time of an event"),
        (LATE.drop(columns="device"), "'device'"),
        (LATE.drop(columns="timestamp"), "lack the column 'timestamp'"),
    ],
)
def test_what_cannot_be_appended_is_refused(shop, more, said):
    with pytest.raises(InputError, match=said) as caught:
        append(shop, more)
    assert "\n" not in str(caught.value) and len(open_prepared(shop)[0].log) == 8
    with pytest.raises(InputError, match="holds no prepared data"):
        append(shop / "elsewhere", LATE)


def test_sessions_cannot_be_continued(tmp_path):
    """Those of the new events would have the names of earlier ones."""

    def read(place):
        return sessions(read_events(EARLY, folder=place), gap="1 day")

    keep_parts(tmp_path / "shop", read, lambda events, place: leave_last_out(events, folder=place))
    with pytest.raises(InputError, match="holds sessions, whose numbers would begin again"):
        append(tmp_path / "shop", LATE)
    assert len(open_prepared(tmp_path / "shop")[0].log) == 8
