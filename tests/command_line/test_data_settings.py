"""How the command line cleans and splits."""

from dataclasses import dataclass, field, replace

import pandas as pd
import pytest

from torchrec_ext.command_line import DataSettings, Source, describe_parts, parse_settings
from torchrec_ext.errors import InputError

HOUR = 3600
FIRST = 1_704_067_200  # 2024-01-01, 00:00 UTC


@dataclass(frozen=True)
class Settings:
    """Settings."""

    source: Source = field(default_factory=DataSettings)


@pytest.fixture
def settings(tmp_path):
    """The data settings of a command line on a small file with tables of users and items."""
    rows = [
        # user, item, time, stars, country, fold; a third session of a begins after five hours
        ("a", "x", FIRST, 5, "de", "train"),
        ("a", "y", FIRST + 60, 2, "de", "train"),
        ("a", "x", FIRST + 120, 4, "at", "dev"),
        ("a", "z", FIRST + 2 * HOUR, 3, "at", "test"),
        ("a", "x", FIRST + 5 * HOUR, 1, "fr", "train"),
        ("b", "x", FIRST, 4, "fr", "train"),
        ("b", "y", FIRST + 6 * HOUR, 4, "fr", "dev"),
        ("b", "y", FIRST + 7 * HOUR, 4, "", "test"),
    ]
    names = ["user", "item", "timestamp", "rating", "country", "fold"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "events.csv", index=False)
    pd.DataFrame({"user": ["a", "b"], "age": [20, 50]}).to_csv(tmp_path / "users.csv", index=False)
    files = ["--data", str(tmp_path / "events.csv"), "--users", str(tmp_path / "users.csv")]

    def settings(*words: str) -> DataSettings:
        return parse_settings(Settings, argv=[*files, *words])[0].source

    return settings


def steps(events):
    return [(step.step, step.removed) for step in events.source.steps]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", []),
        ("--min-rating 3", [("min_rating=3", 2)]),
        ("--duplicates first", [("duplicates=first", 3)]),
        ("--k-core 3 2", [("k_core=(3, 2)", 1)]),
        ("--k-core 3", [("k_core=(3, 3)", 1)]),
        ("--where country=de,at rating=3..", [("country=de,at", 4), ("rating=3..", 1)]),
        ("--where timestamp=2024-01-01T02:00..", [("timestamp=2024-01-01T02:00..", 4)]),
        ("--where age=..30", [("age=..30", 3)]),  # of the users' table
        ("--sessions-gap 1800", [("sessions(gap=1800)", 0)]),
        ("--sessions-gap 1800 --min-user-events 2", [("sessions(gap=1800)", 0), ("min_user_events=2", 5)]),
    ],
)
def test_cleaning(settings, words, expected):
    assert steps(settings(*words.split()).events()) == expected


def test_sessions_are_the_users(settings):
    events = settings("--sessions-gap", "1800").events()
    assert events.frame["user"].tolist() == ["a#1"] * 3 + ["a#2", "a#3", "b#1", "b#2", "b#3"]
    assert events.users["age"].tolist() == [20, 20, 20, 50, 50, 50]


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        ("--split leave_last_out", [4, 2, 2]),
        ("--split leave_last_n --valid-events 2", [5, 2, 1]),
        (f"--split by_time --valid-from {FIRST + HOUR} --test-from {FIRST + 5 * HOUR}", [4, 1, 3]),
        ("--split by_time --valid-from 2024-01-01T01:00 --test-from 2024-01-01T06:00+01:00", [4, 1, 3]),
        (
            f"--split by_time --valid-from {FIRST + HOUR} --test-from {FIRST + 5 * HOUR} --split-gap 3550",
            [2, 1, 3],  # 60 and 120 seconds are less than 3550 before an hour
        ),
        ("--split as_marked --split-column fold", [4, 2, 2]),
    ],
)
def test_splits(settings, words, sizes):
    source = settings(*words.split())
    assert [len(part) for part in source.parts(source.events())] == sizes


def test_the_parts_are_described_with_what_leaks(settings):
    source = settings("--split", "as_marked", "--split-column", "fold")
    train, _, _ = source.parts(source.events())
    lines = describe_parts(train).splitlines()
    assert lines[0] == "2 users, 3 items; features user, item, user_age"
    assert lines[1] == "as marked in column 'fold'" and lines[2].startswith("part   events")
    assert lines[-1].startswith("the future leaks into training: 1 of 4 training events (25.0%)")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ("--where colour=red", "has no column 'colour', did you mean 'country'"),
        ("--where rating", "--where takes pairs such as item=value, received 'rating'"),
        ("--k-core 1 2 3", r"k_core must be one or two numbers of 1 or more, received \(1, 2, 3\)"),
        ("--sessions-gap 0", "gap should be more than 0 seconds"),
        ("--split as_marked --split-column part", "has no column 'part'"),
    ],
)
def test_what_is_refused(settings, words, match):
    with pytest.raises(InputError, match=match):
        settings(*words.split()).events()


DECLARED = """
weights = { cart = 3 }

[[events]]
file = "a/part.csv"
[[events]]
file = "b/part.csv"

[features.context]
type = {}
"""


@pytest.fixture
def declared(tmp_path):
    """Settings of a declared data set of two files of one name."""
    for folder, rows in {
        "a": [("a", "x", FIRST, "view"), ("a", "y", FIRST + 1, "cart"), ("b", "y", FIRST, "view")],
        "b": [("a", "z", FIRST + 2, "view"), ("b", "x", FIRST + 3, "odd"), ("b", "y", FIRST + 4, "cart")],
    }.items():
        (tmp_path / folder).mkdir()
        frame = pd.DataFrame(rows, columns=["user", "item", "timestamp", "type"])
        frame.to_csv(tmp_path / folder / "part.csv", index=False)
    (tmp_path / "mine.toml").write_text(DECLARED)

    def settings(*words: str) -> DataSettings:
        return parse_settings(Settings, argv=["--data", str(tmp_path / "mine.toml"), *words])[0].source

    return settings


def test_what_a_file_declares_is_the_default(declared):
    events = declared().events()
    assert events.context_features == ("type",)
    assert [events.weights[kind] for kind in ("view", "cart")] == [1, 3]
    events = declared("--context", "--weights", "view=0.5", "odd=2").events()
    assert events.context_features == ()
    assert [events.weights[kind] for kind in ("view", "cart", "odd")] == [0.5, 3, 2]


def test_files_of_one_name_are_told_apart_and_the_declaration_is_among_them(declared):
    source = declared().events().source
    assert set(source.files) == {"a/part.csv", "b/part.csv", "mine.toml"}
    assert source.sha256 == source.files["a/part.csv"] != source.files["b/part.csv"]


@pytest.mark.parametrize("value", ["many", "-1", "nan", "inf"])
def test_weights_are_numbers_from_0_on(declared, value):
    with pytest.raises(InputError, match=f"--weights view={value} is not a number of 0 or more"):
        declared("--weights", f"view={value}").events()


def test_rows_set_aside_go_to_a_file(settings, tmp_path):
    broken = tmp_path / "broken.csv"
    broken.write_text((tmp_path / "events.csv").read_text() + f"a,z,{FIRST},bad,de,train\n")
    source = settings("--data", str(broken), "--max-bad-share", "0.2")
    assert len(source.events(tmp_path / "aside.parquet")) == 8
    assert pd.read_parquet(tmp_path / "aside.parquet")["value"].tolist() == ["bad"]
    words = ("--max-bad-share", "0.2", "--rejected", str(tmp_path / "own.parquet"))
    source = settings("--data", str(broken), *words)
    source.events(tmp_path / "other.parquet")
    assert (tmp_path / "own.parquet").is_file() and not (tmp_path / "other.parquet").exists()
    with pytest.raises(InputError, match="1 of 11 rows .* are bad"):
        settings("--data", str(broken)).events()


def test_another_rank_writes_no_rows_set_aside(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("torchrec_ext.distributed.world", lambda: (1, 2))
    settings("--rejected", str(tmp_path / "own.parquet")).events(tmp_path / "aside.parquet")
    assert not list(tmp_path.glob("*.parquet"))


def test_without_users_the_split_is_by_ratio(tmp_path):
    frame = pd.DataFrame({"colour": ["red", "blue"] * 20, "rating": [1, 0] * 20})
    frame.to_csv(tmp_path / "clicks.csv", index=False)
    words = ["--data", str(tmp_path / "clicks.csv"), "--columns", "user=", "item=", "--context", "colour"]
    source = parse_settings(Settings, argv=words)[0].source
    events = source.events()
    assert source.split is None and source.resolved(events).split == "by_ratio"
    train, valid, test = source.parts(events)
    assert [len(train), len(valid), len(test)] == [34, 2, 4]
    assert describe_parts(train).splitlines()[:2] == [
        "no users, no items; features context_colour", "by ratio: 0.05 valid, 0.1 test, seed 0"
    ]  # fmt: skip
    by_user = parse_settings(Settings, argv=[*words, "--split", "leave_last_out"])[0].source
    with pytest.raises(InputError, match="has no column of users"):
        by_user.parts(events)


def test_with_users_it_is_leave_last_out(settings):
    source = settings()
    events = source.events()
    assert source.resolved(events).split == "leave_last_out"
    assert settings("--split", "by_ratio").resolved(events).split == "by_ratio"


def test_data_is_prepared_once_and_opened_from_then_on(settings, tmp_path):
    words = ("--prepared", str(tmp_path / "ready"), "--min-rating", "2", "--context", "country")
    chosen, expected = settings(*words), settings(*words[2:])
    events = chosen.events()
    pd.testing.assert_frame_equal(events.frame, expected.events().frame)
    others = expected.parts(expected.events())
    (tmp_path / "events.csv").unlink()  # nothing is read again
    parts = chosen.parts(events)
    for part, other in zip(parts, others, strict=True):
        assert part.events.items.tolist() == other.events.items.tolist()
        assert part.report == other.report
    assert replace(chosen, split="leave_last_out").parts(events)[0].report == parts[0].report
    with pytest.raises(InputError, match=r"--min-rating is 3.0, but .*ready was prepared with 2.0"):
        settings(*words[:2], "--min-rating", "3", "--context", "country").events()


def test_settings_of_text_files_are_flags(tmp_path):
    (tmp_path / "events.txt").write_text("ann\tx\nbob\ty\n")
    words = [
        "--data",
        str(tmp_path / "events.txt"),
        "--delimiter",
        "\\t",
        "--header",
        "user",
        "item",
        "--quote",
        "",
    ]
    source = parse_settings(Settings, argv=[*words, "--catalogue", "all", "--encoding", "utf-8"])[0].source
    assert source.events().frame["item"].tolist() == ["x", "y"]
    assert (source.quote, source.catalogue, source.decimal) == ("", "all", ".")
