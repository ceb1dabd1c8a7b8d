"""Seconds and peak memory of reading, preparing and batching events beside pandas, Polars and DuckDB.

python benchmarks/data_path.py --output data_path.json
python benchmarks/data_path.py --only "read integers" prepare "prepare strings" --at-size 20_000_000
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import check_common, run_command
from data_events import generate
from record import Row, write
from tables import aligned
from tqdm import tqdm

from torchrec_ext.errors import InputError

Record = dict[str, Any]
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
    "batch": ("events.csv", ("ours", "row by row")),
    "batch 64": ("events.parquet", ("ours", "row by row")),
}
"""Stage -> the file it reads, and its contenders."""
AT_SIZE = ("prepare", "prepare strings", "open", "batch")
_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Settings:
    """Times the stages of the data path on generated events, each in a separate process on one core.

    See benchmarks/README.md for the meaning of each number.
    """

    rows: int = 2_000_000
    """Number of events of every stage."""
    at_size: tuple[int, ...] = (20_000_000,)
    """Larger numbers of events, for preparing, opening and batching only."""
    rounds: int = 3
    """Number of alternating runs of all contenders, 1 at the larger numbers; the table shows medians."""
    only: tuple[str, ...] = tuple(STAGES)
    """Stages to run; "open" and "batch" need what "prepare" left in --folder."""
    folder: Path | None = None
    """Folder of generated events and prepared data; a temporary folder by default."""
    quick: bool = False
    """Reading, preparing and batching of 100,000 events: less than a minute."""
    output: Path | None = None
    """JSON file to write: machine, versions, settings, results."""


QUICK: dict[str, Any] = {
    "rows": 100_000, "at_size": (), "rounds": 1, "only": ("read CSV", "prepare", "batch"),
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
    """Measures every stage, prints the table and writes the output file."""
    plan = [(stage, settings.rows, settings.rounds) for stage in settings.only]
    for rows in settings.at_size:
        plan += [(stage, rows, 1) for stage in settings.only if stage in AT_SIZE]
    found: list[Record] = []
    for stage, rows, rounds in tqdm(plan, "stages", unit="stage", leave=False, disable=None):
        generate(folder, rows, STAGES[stage][0])
        found += measured(stage, rows, rounds, folder)
    print(table(found))
    if settings.output is not None:
        packages = ["pandas", "polars", "duckdb", "pyarrow", "numpy"]
        write(
            settings.output, "data_path", as_rows(found), packages=packages, settings=settings, results=found
        )


def as_rows(found: list[Record]) -> list[Row]:
    """The rows of the common schema: our rows/s, once for each other contender of a stage."""
    ours = {(r["stage"], r["events"]): r for r in found if r["contender"] == "ours"}
    return [
        Row(
            f"{r['stage']}, {r['events']:,} events", "ours", "rows/s",
            ours[r["stage"], r["events"]]["rows_per_second"], r["contender"], 1 / r["speed_over_ours"],
        )
        for r in found
        if r["contender"] != "ours"
    ]  # fmt: skip


def measured(stage: str, rows: int, rounds: int, folder: Path) -> list[Record]:
    """Runs the contenders of a stage alternately for a number of rounds, each in a new process."""
    taken: dict[str, list[Record]] = {contender: [] for contender in STAGES[stage][1]}
    for _ in range(rounds):
        for contender, runs in taken.items():
            runs.append(_run(stage, contender, rows, folder))
    records = []
    for contender, runs in taken.items():
        seconds = [run["seconds"] for run in runs]
        ratios = [o["seconds"] / r["seconds"] for o, r in zip(taken["ours"], runs, strict=True)]
        per_row = runs[0]["rows"] / taken["ours"][0]["rows"]
        records.append({
            "stage": stage,
            "contender": contender,
            "events": rows,
            "rows": runs[0]["rows"],
            "seconds": seconds,
            "cpu_seconds": [run["cpu"] for run in runs],
            "rows_per_second": runs[0]["rows"] / statistics.median(seconds),
            "speed_over_ours": statistics.median(ratios) * per_row,
            "peak_bytes": max(run["peak"] for run in runs),
            "growth_bytes": max(run["peak"] - run["before"] for run in runs),
        })  # fmt: skip
    return records


def _run(stage: str, contender: str, rows: int, folder: Path) -> Record:
    script = "data_stages.py" if contender in ("ours", "row by row") else "data_peers.py"
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
    return json.loads(done.stdout.splitlines()[-1])


def table(found: list[Record]) -> str:
    """The records as an aligned table."""
    head = ("stage", "contender", "events", "s", "CPU s", "rows/s", "ours takes", "peak GB", "growth GB")
    lines = [
        (
            r["stage"], r["contender"], f"{r['events']:,}", f"{statistics.median(r['seconds']):.2f}",
            f"{statistics.median(r['cpu_seconds']):.2f}", f"{r['rows_per_second']:,.0f}",
            f"{r['speed_over_ours']:.2f}", f"{r['peak_bytes'] / 1e9:.2f}", f"{r['growth_bytes'] / 1e9:.2f}",
        )
        for r in found
    ]  # fmt: skip
    return aligned([head, *lines], left=2)


if __name__ == "__main__":
    main()
