"""The benchmark of indexes through its own entry point, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from topn import Settings, check

from torchrec_ext.errors import InputError

ROOT = Path(__file__).parents[2]


def test_entry_point(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    output = tmp_path / "topn.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/topn.py", "--items", "400", "--dim", "8", "--queries", "60"]
        + ["--batch", "1", "50", "--rounds", "2", "--block-seconds", "1e-6", "--output", str(output)]
        + ["--kinds", "flat", "hnsw", "ivf", "--ef-search", "10", "400", "--probes", "1", "400"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "400 items, 50 queries at a time" in done.stdout
    found = json.loads(output.read_text())["results"]
    names = ["torch", "ExactIndex", "FAISS flat"]
    names += ["hnsw ef_search=10", "hnsw ef_search=400", "ivf probes=1", "ivf probes=400"]
    assert [record["contender"] for record in found] == names * 2
    recalls = {record["contender"]: record["recall@10"] for record in found}
    assert recalls["FAISS flat"] == recalls["ivf probes=400"] == 1
    assert recalls["ivf probes=1"] < 1
    assert all(record["seconds"] > 0 for record in found)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(kinds=("pq",)), "kinds should be .* received 'pq'"),
        (Settings(items=(50,)), "items should be at least 100, received 50"),
        (Settings(queries=5), "queries should be at least 256, received 5"),
        (Settings(probes=(0,)), "should be at least 1, received 0"),
    ],
)
def test_settings_that_cannot_be_measured_are_refused(settings: Settings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(settings)
