"""A run's data, read again and split again from what its checkpoint records."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.command_line import DataSettings, read_run_data, split_run_data
from torchrec_ext.data import (
    by_ratio,
    by_user,
    clean,
    leave_last_out,
    prepare,
    read_events,
    rolling_windows,
    sessions,
)
from torchrec_ext.errors import InputError
from torchrec_ext.training import data_record

ROWS = [(user, item, 1000 * place, 1 + place) for user in "abcd" for place, item in enumerate("xyzx")]
FRAME = pd.DataFrame(ROWS, columns=["uid", "item", "timestamp", "rating"])
USERS = pd.DataFrame({"uid": list("abcd"), "age": [1.5, 2.5, 3.5, 4.5]})
COLUMNS = {"user": "uid"}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with events.csv and users.csv, where the user stands."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    FRAME.to_csv("events.csv", index=False)
    USERS.to_csv("users.csv", index=False)
    return tmp_path / "data"


@pytest.fixture
def run(tmp_path):
    """Makes the folder of a run that was trained on these parts: all of it but the weights."""

    def run(parts, name="run"):
        checkpoint = tmp_path / name / "checkpoints" / "step-00000001"
        checkpoint.mkdir(parents=True)
        parts[0].preparation.save(checkpoint / "preparation")
        training = {"data": data_record(parts[0].table, parts[0].report)}
        (checkpoint / "training.json").write_text(json.dumps(training))
        (checkpoint / "model.json").write_text("{}")
        (checkpoint / "manifest.json").write_text('{"model.json": 2}')  # the sizes of older releases
        (checkpoint.parent / "best").write_text(checkpoint.name)
        return tmp_path / name

    return run


def read(source="events.csv", **settings):
    return read_events(source, columns=COLUMNS, **settings)


def append(path, *lines):
    with open(path, "a") as file:
        file.writelines(f"{line}\n" for line in lines)


def triples(part):
    """User, item and time of each event of a part."""
    rows = part.table.frame.iloc[part.log.source_rows[part.rows]]
    return sorted(zip(rows["user"], rows["item"], rows["timestamp"], strict=True))


@pytest.mark.parametrize(
    "split",
    [
        leave_last_out,
        lambda events: by_ratio(events, valid=0.25, test=0.25, seed=3),
        lambda events: by_user(events, valid=0.25, test=0.25),
    ],
)
def test_a_script_s_run_is_split_as_it_was(data, run, split):
    events = clean(read(users="users.csv"), where={"rating": (2, None)})
    parts = split(events)
    (*again,), newer = split_run_data(run(parts))
    assert newer is None
    for part, other in zip(parts, again, strict=True):
        assert triples(part) == triples(other) and part.protocol == other.protocol
        assert part.name == other.name and np.array_equal(part.history_only, other.history_only)
    assert again[0].schema.dense_of("user") == ("user_age",)


def test_settings_of_the_command_line_are_such_calls(data, run):
    settings = DataSettings(
        "events.csv", columns=("user=uid",), users="users.csv", sessions_gap=1500, min_rating=2,
        k_core=(1, 2), split="leave_last_n", test_events=1,
    )  # fmt: skip
    events = settings.events()
    parts = settings.parts(events)
    folder = run(parts)
    for path in (folder, folder / "checkpoints" / "step-00000001"):
        assert read_run_data(path).frame.equals(events.frame)
        for part, other in zip(parts, split_run_data(path)[0], strict=True):
            assert triples(part) == triples(other)


def test_added_rows_count_as_known_and_can_be_predicted(data, run):
    folder = run(leave_last_out(clean(read(), min_item_events=2)))
    before = split_run_data(folder)[0]
    # an item that is new twice, a user who is new, and time that goes back
    append("events.csv", "a,z,9000,5", "new,x,100,1", "b,n,9000,5", "c,n,9000,5")
    assert len(read_run_data(folder)) == 20
    after, newer = split_run_data(folder)
    assert newer is not None
    for part, other in zip(before, after, strict=True):
        assert triples(part) == triples(other)
    assert len(newer.known) == 16 and newer.known.name == "train + valid + test"
    assert triples(newer.targets) == [
        ("a", "z", 9000), ("b", "n", 9000), ("c", "n", 9000), ("new", "x", 100),
    ]  # fmt: skip
    assert newer.targets.name == "added" and "test: events added after the training" in newer.targets.protocol
    # no id has another row than in training, and the new ones have none
    vocabularies = newer.targets.preparation.vocabularies
    for entity in ("user", "item"):
        assert list(vocabularies[entity].index) == list(before[0].preparation.vocabularies[entity].index)
    assert sorted(newer.targets.events.items.tolist()) == [0, 0, 1, 3]
    log, ends = newer.known.known_before(newer.targets)
    assert (ends - log.offsets[newer.targets.log.users[newer.targets.rows]]).tolist() == [4, 4, 4, 0]
    assert split_run_data(folder, with_added=False)[1] is None


def test_added_rows_that_cleaning_removes_are_none(data, run):
    folder = run(leave_last_out(clean(read(), min_rating=1)))
    append("events.csv", "a,z,9000,0.5")
    assert split_run_data(folder)[1] is None


@pytest.mark.parametrize(
    "limits", [{"min_user_events": 3}, {"min_item_events": 2, "min_user_events": 2}, {"k_core": (3, 2)}]
)
def test_limits_of_counts_decide_only_what_is_learnt(data, run, limits, caplog):
    caplog.set_level("INFO", "torchrec_ext")
    append("events.csv", "e,x,500,3", "e,q,600,3")  # a user and an item with too few events to be learnt
    learnt = clean(read(), where={"rating": (2, None)}, **limits)
    assert sorted(set(learnt.frame["user"])) == list("abcd") and len(learnt) == 12
    folder = run(leave_last_out(learnt))
    assert read_run_data(folder).frame.equals(learnt.frame), "unchanged data is read as in training"
    append("events.csv", "e,w,9000,5", "new,x,9001,4", "b,y,9002,1")
    shutil.copy("events.csv", "newer.csv")
    for newer_data in (None, "newer.csv"):
        events = read_run_data(folder, newer_data)
        # 12 learnt, 2 + 1 of e, 1 of new; the filter of ratings removes that of b
        assert len(events) == 16 and events.frame.query("user == 'e'")["item"].tolist() == ["x", "q", "w"]
        caplog.clear()
        parts, newer = split_run_data(folder, newer_data)
        assert "cleaning removed 1 of the 3 added events" in caplog.messages
        assert sum(map(len, parts)) == 12, "the parts of the training stay as they were"
        assert newer is not None and len(newer.known) == 14
        assert triples(newer.targets) == [("e", "w", 9000), ("new", "x", 9001)]


def test_nothing_is_said_where_cleaning_removes_no_added_event(data, run, caplog):
    folder = run(leave_last_out(clean(read(), min_rating=1)))
    append("events.csv", "a,z,9000,1")
    caplog.set_level("INFO", "torchrec_ext")
    assert split_run_data(folder)[1] is not None
    assert "cleaning removed" not in caplog.text


def test_rows_may_be_added_to_a_table_of_users(data, run):
    folder = run(leave_last_out(read(users="users.csv")))
    append("users.csv", "e,9.5")
    assert len(read_run_data(folder)) == 16 and split_run_data(folder)[1] is None


@pytest.mark.parametrize(
    ("file", "text", "change"),
    [
        (
            "events.csv",
            lambda text: text.replace("x,0,1", "x,0,2", 1),
            "column 'rating' of the events differs",
        ),
        ("events.csv", lambda text: text[: text.index("d,x")], "the events: 12 rows are left of 16"),
        ("users.csv", lambda text: text.replace("2.5", "2.6"), "column 'age' of the table of users differs"),
    ],
)
def test_a_change_of_what_was_learnt_is_refused(data, run, file, text, change):
    folder = run(leave_last_out(read(users="users.csv")))
    (data / file).write_text(text((data / file).read_text()))
    for again in (read_run_data, split_run_data):
        with pytest.raises(InputError, match=f"{file} has changed since .*run was trained: {change}; bring"):
            again(folder)


def test_newer_events_are_read_and_cleaned_in_the_same_way(data, run):
    folder = run(leave_last_out(clean(read(), min_rating=2, min_user_events=2)))
    newer = FRAME[:2].assign(timestamp=[9000, 9001])
    newer.to_parquet("newer.parquet")
    events = read_run_data(folder, "newer.parquet")
    assert events.frame["user"].tolist() == ["a"] and events.frame["rating"].tolist() == [2]
    with pytest.raises(
        InputError, match="newer.parquet does not begin with the events that .*run was trained"
    ):
        split_run_data(folder, "newer.parquet")
    pd.concat([FRAME, newer]).to_parquet("newer.parquet")
    assert len(read_run_data(folder, "newer.parquet")) == 12 + 1
    (train, valid, test), added = split_run_data(folder, "newer.parquet")
    assert added is not None and triples(added.targets) == [("a", "y", 9001)]
    assert len(train) + len(valid) + len(test) == 12


def test_a_table_in_memory_needs_a_file(data, run):
    parts = leave_last_out(read(FRAME, users=USERS, user_features=["age"]))
    folder = run(parts)
    for again in (read_run_data, split_run_data):
        with pytest.raises(InputError, match=r"on a table in memory \(DataFrame\), .* name a file .* --data"):
            again(folder)
    assert read_run_data(folder, "events.csv").frame.equals(parts[0].table.frame)
    again, newer = split_run_data(folder, "events.csv")
    assert newer is None and again[0].schema == parts[0].schema, "its side features are in the checkpoint"
    assert [triples(part) for part in again] == [triples(part) for part in parts]


def test_events_that_a_script_changed_are_not_read_again(data, run):
    events = read()
    kept = events.take(events.numbers("rating") != 2)
    folder = run(leave_last_out(kept))
    with pytest.raises(InputError, match="on 12 events, but reading and cleaning events.csv again gives 16"):
        read_run_data(folder)
    kept.frame.rename(columns=COLUMNS).to_csv("kept.csv", index=False)
    assert len(read_run_data(folder, "kept.csv")) == 12


def test_a_split_that_was_not_recorded_is_refused(data, run):
    parts = next(rolling_windows(read(), test_seconds=1000, windows=1))
    with pytest.raises(
        InputError, match=r"the split of .*run \(window 1 of 1: .*evaluate in your own script"
    ):
        split_run_data(run(parts))


def test_files_that_have_moved(data, run, tmp_path):
    folder = run(leave_last_out(read(users="users.csv")))
    with pytest.raises(InputError, match="--data-dir .*/elsewhere has no events.csv"):
        read_run_data(folder, data_dir=str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    for file in ("events.csv", "users.csv"):
        shutil.move(data / file, tmp_path / "elsewhere" / file)
    with pytest.raises(InputError, match="no file events.csv, which .*run was trained on; name its folder"):
        read_run_data(folder)
    assert len(read_run_data(folder, data_dir=str(tmp_path / "elsewhere"))) == 16


def test_a_named_set_moves_with_its_folder(run, tmp_path):
    lines = "\n".join("\t".join([str(i % 2), *["2"] * 13, *["a"] * 26]) for i in range(20))
    (tmp_path / "old" / "criteo-sample").mkdir(parents=True)
    (tmp_path / "old" / "criteo-sample" / "criteo_train_examples_10k.txt").write_text(lines + "\n")
    folder = run(by_ratio(read_events("criteo", data_dir=tmp_path / "old")))
    (tmp_path / "old").rename(tmp_path / "new")
    assert len(read_run_data(folder, data_dir=str(tmp_path / "new"))) == 20


def test_a_declaration_must_stay_as_it_was(data, run):
    (data / "mine.toml").write_text('[[events]]\nfile = "events.csv"\ncolumns = { user = "uid" }\n')
    folder = run(leave_last_out(read_events("mine.toml")))
    append("events.csv", "a,z,9000,5")
    assert len(read_run_data(folder)) == 17
    (data / "mine.toml").write_text('order = "none"\n' + (data / "mine.toml").read_text())
    with pytest.raises(InputError, match="mine.toml has changed since"):
        read_run_data(folder)


def test_prepared_data_is_opened(data, run):
    parts = prepare("events.csv", "ready", read={"columns": COLUMNS})
    folder = run(parts)
    (data / "events.csv").rename("other.csv")
    assert read_run_data(folder).source.prepared == "ready"
    assert [triples(part) for part in split_run_data(folder)[0]] == [triples(part) for part in parts]
    prepare(FRAME[:12], "ready", read={"columns": COLUMNS}, overwrite=True)
    with pytest.raises(
        InputError, match="ready was prepared again, from other data than .*run was trained on"
    ):
        read_run_data(folder)
    shutil.rmtree(data / "ready")
    (data / "other.csv").rename("events.csv")
    assert len(read_run_data(folder)) == 16, "read again where the folder is gone"


def test_a_checkpoint_without_a_record(data, run):
    folder = run(leave_last_out(read()))
    for settings, message in (
        ("{}", "was trained with an older release, which recorded no data"),
        (
            '{"data": {"feedback": {"position": 7}}}',
            "events of a script, which recorded only feedback of them",
        ),
    ):
        (folder / "checkpoints" / "step-00000001" / "training.json").write_text(settings)
        with pytest.raises(InputError, match=message):
            read_run_data(folder)


def test_sessions_are_cut_again(data, run):
    events = sessions(read(), gap=500)
    assert len(set(events.frame["user"])) == 16
    folder = run(by_ratio(events))
    assert read_run_data(folder).frame["user"].tolist() == events.frame["user"].tolist()


@pytest.mark.parametrize(
    ("call", "change", "named"),
    [
        ("read_events", {"rejected": "victim"}, "records the argument rejected of read_events"),
        ("read_events", {"folder": "made"}, "records the argument folder of read_events"),
        ("read_events", {"nonsense": 1}, "records the argument nonsense of read_events, which this release"),
        ("clean", {"rejected": "victim"}, "records the argument rejected of clean"),
        ("leave_last_out", {"folder": "made"}, "records the argument folder of leave_last_out"),
        ("clean", {"nonsense": 1}, "records the argument nonsense of clean, which this release lacks"),
        ("leave_last_out", {"nonsense": 1}, "records the argument nonsense of leave_last_out, which this"),
        ("of_nobody", {}, "records the split 'of_nobody', which this release lacks"),
    ],
)
def test_a_record_from_outside_writes_no_file(data, run, call, change, named):
    path = run(leave_last_out(clean(read(max_bad_share=0.5))))
    training = path / "checkpoints" / "step-00000001" / "training.json"
    record = json.loads(training.read_text())
    called = [*record["data"]["calls"], record["data"]["split"]]
    (*_, altered) = [one for one in called if one["call"] == call] or called
    altered["call"] = call
    altered["arguments"] |= change
    training.write_text(json.dumps(record))
    append("events.csv", "a,,9,1")
    (data / "victim").write_text("years of work")
    with pytest.raises(InputError, match=named) as error:
        split_run_data(path)
    assert "\n" not in str(error.value)
    assert (data / "victim").read_text() == "years of work" and not (data / "made").exists()
