"""Appending to prepared data: no row moves, nothing is fitted anew, and the folder changes in one step."""

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data import append, leave_last_out, open_prepared, prepare, read_events, sessions
from torchrec_ext.data.prepared import keep_parts
from torchrec_ext.errors import InputError

READ = {
    "context": {"device": {"kind": "category"}, "price": {"kind": "number"}},
    "items": pd.DataFrame({"item": ["a", "b", "c", "d"], "brand": ["x", "y", "x", "x"]}),
}


def visits(users, items, start=0, devices="phone", price=1.0):
    times = 1_700_000_000 + 60 * np.arange(start, start + len(users))
    columns = {"user": users, "item": list(items), "timestamp": times, "device": devices, "price": price}
    return pd.DataFrame(columns)


EARLY = visits(["ann"] * 4 + ["bob"] * 4, "dcbabcda", devices=["phone", "desk"] * 4, price=np.arange(8.0))
LATE = visits(["cem"] * 3 + ["ann"] * 2, "eabea", start=100, devices=["tv"] * 4 + ["desk"], price=50.0)


def words(part, table):
    return list(part.preparation.vocabularies[table].index)


def histories(part):
    """Of each user the items, by their ids, in the log's order."""
    log, items = part.log, part.preparation.vocabularies["item"]
    return {
        user: [items.index[row - 1] for row in log.items[start:end]]
        for user, start, end in zip(log.user_ids, log.offsets[:-1], log.offsets[1:], strict=True)
    }


@pytest.mark.parametrize("as_events", [False, True])
def test_no_row_moves_and_nothing_is_fitted_anew(tmp_path, as_events):
    before, _, _ = prepare(EARLY, tmp_path / "shop", read=READ)
    more = read_events(LATE, **{**READ, "items": None}) if as_events else LATE
    train, valid, test = append(tmp_path / "shop", more)
    for table, new in (("user", ["cem"]), ("item", ["e"]), ("context_device", ["tv"])):
        assert words(train, table) == words(before, table) + new
    assert train.preparation.fitted["context_price"] == before.preparation.fitted["context_price"]
    assert histories(train) == {"ann": list("dcbaea"), "bob": list("bcda"), "cem": list("eab")}
    assert (len(train), len(valid), len(test)) == (4 + 2 + 1, 3, 3)
    assert train.preparation.sides["item"].ids("item_brand", np.array([1, 5]))[0].tolist() == [2, 0]
    assert train.table.source.rows == 13
    again, _, _ = open_prepared(tmp_path / "shop")
    assert histories(again) == histories(train) and again.events.items.tolist() == train.events.items.tolist()


def test_side_features_of_new_and_known_items_are_added(tmp_path):
    prepare(EARLY, tmp_path / "shop", read=READ)
    items = pd.DataFrame({"item": ["e", "a"], "brand": ["y", "y"]})
    train, _, _ = append(tmp_path / "shop", LATE, items=items)
    rows = train.preparation.vocabularies["item"].rows(list("abcde"))
    brands = train.preparation.sides["item"].ids("item_brand", rows)[0]
    assert [words(train, "item_brand")[row - 1] for row in brands] == list("yyxxy")


def test_an_item_that_was_too_rare_gets_a_row_behind_the_others(tmp_path):
    early = visits(["ann"] * 5, "dcdcr")
    before, _, _ = prepare(early, tmp_path / "shop", split_by={"min_count": 2})
    assert words(before, "item") == ["d", "c"]
    train, _, _ = append(tmp_path / "shop", visits(["bob"] * 3, "rrd", start=50))
    assert words(train, "item") == ["d", "c", "r"]


def test_appending_twice_is_as_good_as_once(tmp_path):
    for name in ("once", "twice"):
        prepare(EARLY, tmp_path / name, read=READ)
    once, _, _ = append(tmp_path / "once", LATE)
    append(tmp_path / "twice", LATE[:3])
    train, _, _ = append(tmp_path / "twice", LATE[3:])
    assert histories(train) == histories(once) and words(train, "item") == words(once, "item")
    assert train.rows.tolist() == once.rows.tolist()


def test_an_interrupted_append_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    before, _, _ = prepare(EARLY, tmp_path / "shop", read=READ)
    with monkeypatch.context() as patch:
        patch.setattr("torchrec_ext.data.prepared.Preparation.save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            append(tmp_path / "shop", LATE)
    assert histories(open_prepared(tmp_path / "shop")[0]) == histories(before)
    assert len(append(tmp_path / "shop", LATE)[0].log) == 13
    assert [path.name for path in (tmp_path / "shop").glob("version-*")] == ["version-2"]
    assert len(before.log) == 8 and before.log.items[:4].tolist() == [1, 2, 3, 4]  # still mapped


def test_a_later_test_part_is_chosen_by_the_split(tmp_path):
    first, later = (
        {"valid_from": 1_700_000_000 + valid, "test_from": 1_700_000_000 + test}
        for valid, test in ((240, 360), (6000, 6120))
    )
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
def test_what_cannot_be_appended_is_refused(tmp_path, more, said):
    prepare(EARLY, tmp_path / "shop", read=READ)
    with pytest.raises(InputError, match=said) as caught:
        append(tmp_path / "shop", more)
    assert "\n" not in str(caught.value)
    assert len(open_prepared(tmp_path / "shop")[0].log) == 8
    with pytest.raises(InputError, match="holds no prepared data"):
        append(tmp_path / "elsewhere", LATE)


def test_sessions_cannot_be_continued(tmp_path):
    """Those of the new events would have the names of earlier ones."""

    def read(place):
        return sessions(read_events(EARLY, folder=place), gap="1 day")

    keep_parts(tmp_path / "shop", read, lambda events, place: leave_last_out(events, folder=place))
    with pytest.raises(InputError, match="holds sessions, whose numbers would begin again"):
        append(tmp_path / "shop", LATE)
    assert len(open_prepared(tmp_path / "shop")[0].log) == 8


def test_files_and_tables_in_memory_follow_a_file_of_another_layout(tmp_path):
    columns = {"user": "user", "item": "item", "timestamp": "timestamp"}
    EARLY.to_csv(tmp_path / "early.csv", sep=";", index=False)
    LATE[:3].to_csv(tmp_path / "late.csv", sep=";", index=False)
    prepare(tmp_path / "early.csv", tmp_path / "shop", read={"delimiter": ";", "columns": columns})
    append(tmp_path / "shop", tmp_path / "late.csv")
    train, _, _ = append(tmp_path / "shop", LATE[3:])
    assert histories(train) == {"ann": list("dcbaea"), "bob": list("bcda"), "cem": list("eab")}
