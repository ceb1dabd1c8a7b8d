"""Starts recipes as a user does: with plain Python, or under torchrun with two ranks."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a recipe ended: its exit status, what each rank wrote, and when rank 0 ended (``time.time()``)."""

    status: int
    out: list[str]
    err: list[str]
    launcher: str = ""
    time: float = 0.0

    @property
    def error(self) -> str:
        """The one line in which rank 0 said what is wrong."""
        lines = [line for line in self.err[0].splitlines() if re.match(r"\w+\.py: ", line)]
        assert len(lines) == 1 and "Traceback" not in self.err[0], self
        return lines[0]


def launch(
    recipe: str,
    *words: str | Path,
    folder: Path,
    processes: int = 1,
    restarts: int = 0,
    succeeds: bool = True,
    timeout: float = 240,
) -> Ended:
    """Runs ``recipes/<recipe>.py`` in ``folder``; under torchrun if there are several processes.

    Args:
        recipe: its name.
        words: the command line.
        folder: where the user stands.
        processes: number of ranks.
        restarts: how often torchrun starts the ranks again after one has died.
        succeeds: checks that it exits with 0.
        timeout: seconds after which the test fails.
    """
    script = [str(ROOT / "recipes" / f"{recipe}.py"), *map(str, words)]
    with tempfile.TemporaryDirectory() as logs:
        command = [sys.executable, *script]
        if processes > 1:
            torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
            torchrun += ["--max-restarts", str(restarts), "--log-dir", logs, "--redirects", "3"]
            command = [sys.executable, *torchrun, *script]
        done = subprocess.run(
            command, cwd=folder, env=user_environment(), capture_output=True, text=True, timeout=timeout
        )
        if processes == 1:
            ended = Ended(done.returncode, [done.stdout], [done.stderr])
        else:
            out, err = (
                [path.read_text() for path in sorted(Path(logs).rglob(f"std{stream}.log"))]
                for stream in ("out", "err")
            )
            ended = Ended(done.returncode, out, err, done.stderr)
    assert not succeeds or ended.status == 0, "\n".join([*ended.out, *ended.err, ended.launcher])
    return ended


def user_environment() -> dict[str, str]:
    """The environment variables a user starts with: none of torchrun's."""
    ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    kept = {name: value for name, value in os.environ.items() if name not in ranks}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


def files(folder: Path) -> set[str]:
    """Every file and folder under a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
