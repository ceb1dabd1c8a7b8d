"""The benchmarks of training through their own entry points, and the targets that they share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_throughput import windows_of

from tests.worlds import small_world
from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.next_events import NextEvents

ROOT = Path(__file__).parents[2]


def test_the_loops_learn_the_targets_of_fit() -> None:
    train = leave_last_out(small_world())[0]
    examples = NextEvents(train, Inputs(max_length=5), Candidates.of(train, "catalogue"))
    windows = windows_of(train, 5)
    assert sorted(len(window) - 1 for window in windows) == sorted(examples.sizes().tolist())
    assert len(windows) > 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "contenders", "arguments"),
    [
        ("training_throughput", ["fit", "plain loop", "plain loop, our encoder"], ["--encoders", "sasrec"]),
        ("batch_scaling", ["capped (default)", "all targets"], ["--dim", "8", "--length", "5"]),
    ],
)
def test_entry_point(script: str, contenders: list[str], arguments: list[str], tmp_path: Path) -> None:
    output = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, f"benchmarks/{script}.py", "--quick", *arguments, "--output", str(output)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert found["benchmark"] == script
    assert [record["contender"] for record in found["results"]] == contenders
    assert all(contender in done.stdout for contender in contenders)
