"""run_benchmark(): a script of benchmarks/ in a process of its own, as a user starts it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_benchmark(
    script: str, *words: str, processes: int = 0, real_data: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs ``benchmarks/SCRIPT.py`` with one thread, under torchrun if ``processes`` are given."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if not real_data:
        environment.pop("TORCHREC_EXT_DATA", None)
    return subprocess.run(
        [sys.executable, *(launcher if processes else []), f"benchmarks/{script}.py", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
