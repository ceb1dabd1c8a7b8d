"""Rows per second and peak memory of reading, cleaning, preparing and batching events, compared with pandas.

python benchmarks/data_path.py --output data_path.json
python benchmarks/data_path.py --rows 1_000_000 --at-size 50_000_000
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import data_stages
import machine
import torch
import tyro
from data_stages import STAGES, generate
from tqdm import tqdm

from torchrec_ext.errors import InputError

Record = dict[str, Any]
_FORMATS = {"read CSV": "csv", "read Parquet": "parquet", "read JSON Lines": "jsonl", "prepare": "csv"}


@dataclass(frozen=True)
class Settings:
    """Times the stages of the data path on generated events, each in a separate process with one thread.

    See benchmarks/README.md for the meaning of each number.
    """

    rows: int = 2_000_000
    """Number of events of every stage."""
    at_size: tuple[int, ...] = (20_000_000,)
    """Larger numbers of events, for preparing, opening and batching only."""
    rounds: int = 3
    """Number of alternating runs of ours and its peer; the table shows medians."""
    folder: Path | None = None
    """Folder of generated events and prepared data; a temporary folder by default."""
    output: Path | None = None
    """JSON file to write: machine, versions, settings, results."""
    stage: tuple[str, str, int] | None = None
    """Runs one stage, contender and number of rows in this process; the benchmark calls itself with it."""


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    try:
        settings = tyro.cli(Settings)
        if settings.stage is not None:
            assert settings.folder is not None
            name, contender, rows = settings.stage
            data_stages.run_stage(name, contender, settings.folder, rows)
            return
        for name, value in (("rows", settings.rows), ("rounds", settings.rounds)):
            if value < 1:
                raise InputError(f"--{name} is {value}: give at least 1")
        if settings.folder is not None:
            settings.folder.mkdir(parents=True, exist_ok=True)
            run(settings, settings.folder)
            return
        with tempfile.TemporaryDirectory() as folder:
            run(settings, Path(folder))
    except InputError as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        raise SystemExit(2) from None


def run(settings: Settings, folder: Path) -> None:
    """Measures every stage, prints the table and writes the output file."""
    plan = [(name, settings.rows) for name in STAGES]
    plan += [(name, rows) for rows in settings.at_size for name in ("prepare", "open", "batch")]
    found: list[Record] = []
    for name, rows in tqdm(plan, "stages", unit="stage", leave=False, disable=None):
        needs = {_FORMATS.get(name, "parquet")} if name not in ("open", "batch") else set()
        generate(folder, rows, tuple(needs))
        found += measured(name, rows, settings.rounds if rows == settings.rows else 1, folder)
    print(table(found))
    if settings.output is not None:
        record = {
            "benchmark": "data_path",
            "machine": machine.describe(torch.device("cpu")),
            "versions": machine.versions("pandas", "pyarrow", "numpy"),
            "settings": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(settings).items()},
            "results": found,
        }
        settings.output.write_text(json.dumps(record, indent=2) + "\n")


def measured(name: str, rows: int, rounds: int, folder: Path) -> list[Record]:
    """Runs the contenders of a stage alternately for a number of rounds, each in a new process."""
    taken: dict[str, list[Record]] = {contender: [] for contender in STAGES[name]}
    for _ in range(rounds):
        for contender, runs in taken.items():
            runs.append(_run(name, contender, rows, folder))
    records = []
    for contender, runs in taken.items():
        seconds = [run["seconds"] for run in runs]
        ratios = [o["seconds"] / r["seconds"] for o, r in zip(taken["ours"], runs, strict=True)]
        per_row = runs[0]["rows"] / taken["ours"][0]["rows"]
        records.append({
            "stage": name,
            "contender": contender,
            "events": rows,
            "rows": runs[0]["rows"],
            "seconds": seconds,
            "rows_per_second": runs[0]["rows"] / statistics.median(seconds),
            "speed_over_ours": statistics.median(ratios) * per_row,
            "peak_bytes": max(run["peak"] for run in runs),
            "growth_bytes": max(run["peak"] - run["before"] for run in runs),
        })  # fmt: skip
    return records


def _run(name: str, contender: str, rows: int, folder: Path) -> Record:
    command = [
        sys.executable, __file__, "--folder", str(folder), "--stage", name, contender, str(rows),
    ]  # fmt: skip
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}
    done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{contender} failed at {name}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(found: list[Record]) -> str:
    """The records as an aligned table."""
    head = ("stage", "contender", "events", "s", "rows/s", "x ours", "peak GB", "growth GB")
    rows = [head] + [
        (
            r["stage"], r["contender"], f"{r['events']:,}", f"{statistics.median(r['seconds']):.2f}",
            f"{r['rows_per_second']:,.0f}", f"{r['speed_over_ours']:.2f}", f"{r['peak_bytes'] / 1e9:.2f}",
            f"{r['growth_bytes'] / 1e9:.2f}",
        )
        for r in found
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  ".join(
            c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    main()
