"""The benchmark of growing sizes through its own entry point, its step, and its fits and estimates."""

import doctest
import json
from pathlib import Path
from typing import Any

import planner_estimate
import pytest
import scaling
import torch
from planner_estimate import Estimate, estimate_rows
from record import rows_of
from scaling_workload import Sizes, training_step

from tests.benchmarks.run_benchmark import run_benchmark


@pytest.mark.slow  # it starts a process for each rank
def test_entry_point(tmp_path: Path) -> None:
    output, plot = tmp_path / "scaling.json", tmp_path / "scaling.png"
    sizes = ["--catalogue", "20", "40", "--rows", "20", "80", "--width", "8", "--batch", "2", "4"]
    sizes += ["--history", "3", "6", "--rounds", "1", "--steps", "1", "--world-sizes", "4"]
    done = run_benchmark("scaling", *sizes, "--output", str(output), "--plot", str(plot))
    assert done.returncode == 0, done.stderr
    assert "exponent" in done.stdout and "32 table_wise" in done.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")
    rows = {(row.case, row.metric): row for row in rows_of(json.loads(output.read_text()))}
    assert rows["ranks 2", "ms"].reference == "ranks 1" and rows["ranks 2", "ms"].ratio
    # an item is a row of 64 float32 and its state, all rows on one rank
    growth = rows["rows 80", "held MB"].value - rows["rows 20", "held MB"].value
    assert growth * 1e6 == pytest.approx(60 * (64 * 4 + 4))


def test_a_step_learns_what_it_is_given(group_of_one: Any) -> None:
    step, held = training_step(Sizes(20, 8, 2, 3, sampled=5), "gru", torch.device("cpu"))
    more, held_of_more = training_step(Sizes(30, 8, 2, 3, sampled=5), "gru", torch.device("cpu"))
    step(0), more(1)
    assert held_of_more - held == 10 * (8 * 4 + 4)


def test_what_does_not_fit_has_no_row() -> None:
    rows = estimate_rows([Estimate(1), Estimate(8, 0.002, 0.001, 20 * 10**9, (("table_wise", 32),))])
    assert {row.case for row in rows} == {"8 GPUs on paper"} and {row.contender for row in rows} == {
        "32 table_wise"
    }
    assert [round(row.value, 6) for row in rows] == [2, 1, 20, 16.384]


@pytest.mark.parametrize("module", [planner_estimate, scaling])
def test_examples(module: Any) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted and not failed
