"""The benchmark of the data path through its own entry point, its peers, and what it refuses."""

import json

import data_path
import data_peers
import data_stages
import numpy as np
import pandas as pd
import pytest
from data_events import CODED, events_file, generate, prepared_folder
from data_path import STAGES
from record import rows_of

from tests.benchmarks.run_benchmark import run_benchmark

FILES = sorted({file for file, _ in STAGES.values()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    for name in FILES:
        generate(folder, 3000, name)
    return folder


@pytest.mark.slow  # a process for each contender of each stage, of which ours import torch
def test_entry_point(tmp_path):
    output = tmp_path / "data.json"
    sizes = ("--rows", "50000", "--at-size", "100000", "--rounds", "1")
    done = run_benchmark("data_path", *sizes, "--folder", str(tmp_path / "files"), "--output", str(output))
    assert done.returncode == 0, done.stderr
    rows = rows_of(json.loads(output.read_text()))
    at_size = ("prepare", "prepare strings", "open")
    assert [(row.case, row.contender) for row in rows if row.metric == "CPU s"] == [
        (f"{stage}, {number:,} events", contender)
        for number, stages in ((50_000, STAGES), (100_000, at_size))
        for stage in stages
        for contender in STAGES[stage][1]
    ]
    assert all(row.value > 0 for row in rows if row.metric not in ("CPU s", "growth GB"))


def test_every_contender_is_there():
    for stage, (_, contenders) in STAGES.items():
        there = {**data_stages.STAGES[stage], **data_peers.PEERS.get(stage, {})}
        assert set(there) == set(contenders), stage


def test_all_formats_hold_the_same_events(folder):
    paths = {name: events_file(folder, 3000, name) for name in FILES}
    frame = pd.read_csv(paths["events.csv"])
    others = {
        "events.parquet": pd.read_parquet(paths["events.parquet"]),
        "events.jsonl": pd.read_json(paths["events.jsonl"], lines=True, convert_dates=False),
        "strings.csv": pd.read_csv(paths["strings.csv"]).assign(
            user=lambda f: f["user"].str.removeprefix("u").astype(int),
            item=lambda f: f["item"].str.removeprefix("i").astype(int),
        ),
    }
    for other in others.values():
        pd.testing.assert_frame_equal(other, frame, check_dtype=False)
    assert pd.read_csv(paths["integers.csv"]).equals(frame[["user", "item", "timestamp", "rating"]])


@pytest.mark.parametrize("file", ["events.csv", "strings.csv"])
def test_the_peers_prepare_the_same_columns(folder, file):
    path, stage = events_file(folder, 3000, file), "prepare" if file == "events.csv" else "prepare strings"
    for peer in data_peers.PEERS[stage].values():
        work, rows = peer(folder, 3000)
        work()
        assert rows == 3000
    expected = pd.read_csv(path)
    words = {name: pd.unique(expected[name]) for name in CODED}
    for name in CODED:
        expected[name] = pd.factorize(expected[name])[0]
    expected = expected.sort_values(["user", "timestamp"], kind="stable")
    for contender in ("pandas", "polars", "duckdb"):
        out = prepared_folder(path, f"prepare_{contender}")
        for name in expected:
            assert np.array_equal(np.load(out / f"{name}.npy"), expected[name]), (contender, name)
        for name in CODED:
            assert pd.read_parquet(out / f"{name}.parquet")["id"].tolist() == list(words[name])


def test_pandas_cleans_as_ours_does(folder):
    ours, _ = data_stages.STAGES["clean"]["ours"](folder, 3000)
    theirs, _ = data_peers.PEERS["clean"]["pandas"](folder, 3000)
    pairs = [sorted(zip(f["user"], f["item"], strict=True)) for f in (ours().frame, theirs())]
    assert pairs[0] == pairs[1] and 0 < len(pairs[0]) < 3000


def test_what_cannot_be_measured_is_refused():
    done = run_benchmark("data_path", "--rows", "0")
    assert (done.returncode, done.stderr) == (2, "error: --rows is 0: give at least 1\n")


def test_ours_is_compared_with_each_peer_in_the_same_round():
    def runs(*cpu, rows=100):
        fixed = {"rows": rows, "seconds": 1.5, "before": 4e8, "peak": 5e8}
        return [{"cpu": taken, **fixed} for taken in cpu]

    taken = {"ours": runs(2.0, 1.0, 4.0), "pandas": runs(1.0, 1.0, 8.0, rows=50)}
    ratio, *others = data_path.rows_of("read CSV", taken)
    assert (ratio.name, ratio.metric, ratio.value, ratio.ratio) == (
        "ours / pandas",
        "rows/s",
        50,
        2,
    )  # 1, 2, 4
    assert [row.value for row in others] == [1.5, 2.0, 0.5, pytest.approx(0.1)] + [
        1.5,
        1.0,
        0.5,
        pytest.approx(0.1),
    ]
