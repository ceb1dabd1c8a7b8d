"""Seconds and peak memory of reading and preparing events beside pandas, Polars and DuckDB.

python benchmarks/data_path.py --output data_path.json
python benchmarks/data_path.py --only "read integers" prepare "prepare strings" --at-size 20_000_000
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import Common, check_common, run_command
from data_events import generate
from interleaved import compared
from record import Row, save
from tables import table_of
from tqdm import tqdm

from torchrec_ext.errors import InputError

Run = dict[str, float]
_PEERS = ("ours", "pandas", "polars", "duckdb")
STAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "read integers": ("integers.csv", _PEERS),
    "read CSV": ("events.csv", _PEERS),
    "read Parquet": ("events.parquet", _PEERS),
    "read JSON Lines": ("events.jsonl", _PEERS),
    "clean": ("events.parquet", ("ours", "pandas")),
    "split and fit": ("events.parquet", ("ours",)),
    "describe": ("events.parquet", ("ours",)),
    "prepare": ("events.csv", _PEERS),
    "prepare strings": ("strings.csv", _PEERS),
    "open": ("events.csv", ("ours",)),
}
"""Stage -> the file it reads, and its contenders."""
AT_SIZE = ("prepare", "prepare strings", "open")
_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Settings(Common):
    """Times the stages of the data path on generated events, each in a separate process on one core.

    See benchmarks/README.md for the meaning of each number.
    """

    rows: int = 2_000_000
    """Number of events of every stage."""
    at_size: tuple[int, ...] = (20_000_000,)
    """Larger numbers of events, for preparing and opening only."""
    rounds: int = 3
    """Number of alternating runs of all contenders, 1 at the larger numbers; the table shows medians."""
    only: tuple[str, ...] = tuple(STAGES)
    """Stages to run; "open" needs what "prepare" left in --folder."""
    folder: Path | None = None
    """Folder of generated events and prepared data; a temporary folder by default."""


QUICK: dict[str, Any] = {
    "rows": 100_000, "at_size": (), "rounds": 1, "only": ("read CSV", "prepare"),
}  # fmt: skip


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, QUICK)


def check(settings: Settings) -> None:
    """Checks the settings before anything is measured; raises InputError."""
    check_common(settings, rows=1, rounds=1)
    for stage in settings.only:
        if stage not in STAGES:
            raise InputError(f"--only is {stage!r}: give some of {', '.join(STAGES)}")


def run(settings: Settings) -> None:
    """Measures in the folder of the settings or in a temporary one."""
    if settings.folder is not None:
        settings.folder.mkdir(parents=True, exist_ok=True)
        run_in(settings, settings.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        run_in(settings, Path(folder))


def run_in(settings: Settings, folder: Path) -> None:
    """Measures every stage, prints the table and writes the files."""
    plan = [(stage, settings.rows, settings.rounds) for stage in settings.only]
    for rows in settings.at_size:
        plan += [(stage, rows, 1) for stage in settings.only if stage in AT_SIZE]
    found: list[Row] = []
    for stage, rows, rounds in tqdm(plan, "stages", unit="stage", leave=False, disable=None):
        generate(folder, rows, STAGES[stage][0])
        found += measured(stage, rows, rounds, folder)
    print(table_of(found))
    save(settings, "data_path", found, packages=["pandas", "polars", "duckdb", "pyarrow", "numpy"])


def measured(stage: str, rows: int, rounds: int, folder: Path) -> list[Row]:
    """Runs the contenders of a stage alternately for a number of rounds, each in a new process."""
    taken: dict[str, list[Run]] = {contender: [] for contender in STAGES[stage][1]}
    for _ in range(rounds):
        for contender, runs in taken.items():
            runs.append(_run(stage, contender, rows, folder))
    return rows_of(f"{stage}, {rows:,} events", taken)


def rows_of(case: str, taken: Mapping[str, Sequence[Run]]) -> list[Row]:
    """Our rows per processor second beside each peer, then the times and the memory of all."""
    per_row = {name: [run["cpu"] / run["rows"] for run in runs] for name, runs in taken.items()}
    ours, peers = per_row["ours"], [name for name in taken if name != "ours"]
    speed = 1 / statistics.median(ours)
    found = [compared(case, "ours", "rows/s", speed, peer, ours, per_row[peer]) for peer in peers]
    if not peers:
        found.append(Row(case, "ours", "rows/s", speed))
    for name, runs in taken.items():
        figures = {
            "s": statistics.median(run["seconds"] for run in runs),
            "CPU s": statistics.median(run["cpu"] for run in runs),
            "peak GB": max(run["peak"] for run in runs) / 1e9,
            "growth GB": max(run["peak"] - run["before"] for run in runs) / 1e9,
        }
        found += [Row(case, name, metric, value) for metric, value in figures.items()]
    return found


def _run(stage: str, contender: str, rows: int, folder: Path) -> Run:
    script = "data_stages.py" if contender == "ours" else "data_peers.py"
    command = [
        sys.executable,
        str(Path(__file__).with_name(script)),
        stage,
        contender,
        str(folder),
        str(rows),
    ]
    done = subprocess.run(
        command, env=os.environ | dict.fromkeys(_VARIABLES, "1"), capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise InputError(f"{contender} failed at {stage}: {reason}")
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
