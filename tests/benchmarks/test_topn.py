"""The benchmark of indexes through its own entry point, and what it refuses."""

import json
from pathlib import Path

import pytest
from record import rows_of
from topn import Settings, check

from tests.benchmarks.run_benchmark import run_benchmark
from torchrec_ext.errors import InputError


def test_entry_point(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    output = tmp_path / "topn.json"
    done = run_benchmark(
        "topn", "--items", "400", "--dim", "8", "--queries", "60", "--batch", "1", "50", "--rounds", "2",
        "--block-seconds", "1e-6", "--kinds", "flat", "hnsw", "ivf", "--ef-search", "10", "400",
        "--probes", "1", "400", "--output", str(output),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "400 items x 8, 50 queries, lists of 100" in done.stdout
    rows = rows_of(json.loads(output.read_text()))
    names = ["hnsw ef_search=10", "hnsw ef_search=400", "ivf probes=1", "ivf probes=400"]
    timed = [row.contender for row in rows if row.metric == "ms"]
    assert timed == ["ExactIndex", "FAISS flat", *names, "ExactIndex", "torch"] * 2
    recalls = {row.contender: row.value for row in rows if row.metric == "recall@10"}
    assert list(recalls) == names
    assert recalls["ivf probes=400"] == 1 > recalls["ivf probes=1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(kinds=("pq",)), "kinds should be .* received 'pq'"),
        (Settings(items=(50,)), "--items is 50: give at least 100"),
        (Settings(queries=5), "--queries is 5: give at least 256"),
        (Settings(probes=(0,)), "--probes is 0: give at least 1"),
    ],
)
def test_settings_that_cannot_be_measured_are_refused(settings: Settings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(settings)
