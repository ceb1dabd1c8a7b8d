"""The benchmark of the data path through its own entry point, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import data_stages
import pandas as pd
import pytest
from data_path import table

ROOT = Path(__file__).parents[2]


def run(*words):
    return subprocess.run(
        [sys.executable, "benchmarks/data_path.py", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow  # a process for each stage, each of which imports torch
def test_entry_point(tmp_path):
    output = tmp_path / "data.json"
    sizes = ("--rows", "50000", "--at-size", "100000", "--rounds", "1")
    done = run(*sizes, "--folder", str(tmp_path / "files"), "--output", str(output))
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split() == [
        "stage",
        "contender",
        "events",
        "s",
        "rows/s",
        "x",
        "ours",
        "peak",
        "GB",
        "growth",
        "GB",
    ]
    assert len(lines) == 18
    found = json.loads(output.read_text())["results"]
    assert {(r["stage"], r["contender"]) for r in found} == {
        (stage, contender) for stage, contenders in data_stages.STAGES.items() for contender in contenders
    }
    assert all(r["rows_per_second"] > 0 and 0 <= r["growth_bytes"] <= r["peak_bytes"] for r in found)


def test_a_stage_runs_in_its_own_process(tmp_path, capsys):
    data_stages.generate(tmp_path, 3000, ("csv", "parquet", "jsonl"))
    frames = [
        pd.read_csv(data_stages.events_file(tmp_path, 3000, "csv")),
        pd.read_parquet(data_stages.events_file(tmp_path, 3000, "parquet")),
        pd.read_json(data_stages.events_file(tmp_path, 3000, "jsonl"), lines=True, convert_dates=False),
    ]
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0], check_dtype=False)
    ours, _ = data_stages.STAGES["clean"]["ours"](tmp_path, 3000)
    theirs, _ = data_stages.STAGES["clean"]["pandas"](tmp_path, 3000)
    pairs = [sorted(zip(f["user"], f["item"], strict=True)) for f in (ours().frame, theirs())]
    assert pairs[0] == pairs[1] and 0 < len(pairs[0]) < 3000


def test_what_cannot_be_measured_is_refused():
    done = run("--rows", "0")
    assert (done.returncode, done.stderr) == (2, "error: --rows is 0: give at least 1\n")


def test_the_table_is_aligned():
    record = {
        "stage": "read CSV", "contender": "ours", "events": 2000, "rows": 2000, "seconds": [2.0, 1.0, 4.0],
        "rows_per_second": 1000.0, "speed_over_ours": 1.0, "peak_bytes": 5e8, "growth_bytes": 1e8,
    }  # fmt: skip
    head, line = table([record]).splitlines()
    assert line.split() == ["read", "CSV", "ours", "2,000", "2.00", "1,000", "1.00", "0.50", "0.10"]
    assert len(head) == len(line)
