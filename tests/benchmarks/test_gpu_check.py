"""gpu_check.sh on a CPU, what it says of steps that fail, and how it adds up overlapping work."""

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path

import gpu_pipeline
import pytest
from gpu_collect import collect
from record import rows_of

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_check.sh"


def start(*words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *words],
        env=os.environ | {"PYTHON": python, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1900,
    )


@pytest.mark.slow  # eight processes that import torch
def test_every_step_runs_on_a_cpu(tmp_path: Path) -> None:
    done = start(str(tmp_path), "--device", "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((tmp_path / "gpu_check.json").read_text())
    assert content["failed"] == []
    steps = ["machine", "nccl", "lookup", "pipeline", "tests", "ratings", "retrieval", "ranking"]
    assert list(content["steps"]) == steps
    assert content["machine"]["cores"] and content["versions"]["torch"]
    rows = {(row.contender, row.metric) for row in rows_of(content)}
    assert {("lookup", "GB/s"), ("update", "GB/s"), ("pipeline", "examples/s")} <= rows
    assert ("last epoch", "examples/s") in rows and ("process", "peak bytes") in rows


def test_a_machine_without_python_fails_every_step_and_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text(f'#!/bin/sh\ncase "$1" in *gpu_collect.py) exec {sys.executable} "$@";; esac\nexit 3\n')
    broken.chmod(0o755)
    done = start(str(tmp_path / "out"), "--device", "cpu", python=str(broken))
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith("failed: machine, nccl, lookup,") and last.endswith("ranking")


@pytest.mark.parametrize("words", [(), ("out", "--device", "tpu"), ("out", "cpu")])
def test_what_it_does_not_take_is_refused(words: tuple[str, ...]) -> None:
    done = start(*words)
    assert (done.returncode, done.stderr) == (2, "usage: gpu_check.sh OUT [--device cuda|cpu]\n")


def test_what_failed_is_named_with_its_reason(tmp_path: Path) -> None:
    lines = (
        "machine\t0\t3\t20",
        "nccl\t1\t4\t40",
        "lookup\t124\t90\t90",
        "pipeline\t0\t9\t75",
        "tests\t5\t9\t70",
    )
    (tmp_path / "steps.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "nccl.log").write_text("a warning\nno device\n")
    (tmp_path / "lookup.memory").write_text("12\n90\n[N/A]\n70\n")
    content = collect(tmp_path, "cuda")
    assert content["failed"] == ["nccl", "lookup", "pipeline", "tests"]
    assert {name: step["reason"] for name, step in content["steps"].items()} == {
        "machine": None,
        "nccl": "status 1: no device",
        "lookup": "took more than 90 s",
        "pipeline": "left no figures",
        "tests": "no test was found",
    }
    assert [(row.case, row.value) for row in rows_of(content)] == [("lookup", 90)]


def test_examples() -> None:
    assert doctest.testmod(gpu_pipeline) == (0, 1)
