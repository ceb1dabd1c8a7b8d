"""The benchmark of evaluation through its own entry point, and what it refuses."""

import json
from pathlib import Path

import pytest
from evaluation import Settings, check
from record import rows_of

from tests.benchmarks.run_benchmark import run_benchmark
from torchrec_ext.errors import InputError


def test_entry_point(tmp_path: Path) -> None:
    output, plot = tmp_path / "evaluation.json", tmp_path / "evaluation.png"
    done = run_benchmark(
        "evaluation", "--users", "40", "--items", "60", "--events", "1500", "--dim", "4", "--rounds", "2",
        "--block-seconds", "1e-6", "--chunk", "7", "--output", str(output), "--plot", str(plot),
        real_data=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    content = json.loads(output.read_text())
    compared = {row.reference: row for row in rows_of(content) if row.ratio is not None}
    assert {row.contender for row in compared.values()} == {"evaluate()"}
    assert compared["torch loop"].value > 0
    memory = {row.contender: row.value for row in rows_of(content) if row.case == "memory of the process"}
    assert 0 < memory["imports"] < memory["imports, data and model"]
    assert content["ndcg"]["evaluate()"] == pytest.approx(content["ndcg"]["torch loop"], abs=1e-4)
    assert "40 users" in done.stdout
    assert "evaluate() / torch loop" in done.stdout
    assert plot.stat().st_size > 0


def test_settings_that_cannot_be_measured_are_refused() -> None:
    with pytest.raises(InputError, match="--k is 0: give at least 1"):
        check(Settings(k=0))
    with pytest.raises(InputError, match="--items is 11: give at least 12"):
        check(Settings(items=11))
