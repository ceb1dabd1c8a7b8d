"""The stages of data_path.py with the library."""

import sys
from pathlib import Path
from typing import Any

import torch
from data_events import CONTEXT, Stage, Work, events_file, prepared_folder, run_stage, stage_of

import torchrec_ext as tx


def read_integers(path: Path) -> tx.data.Events:
    """Reads events without context."""
    return tx.data.read_events(path)


def read(path: Path) -> tx.data.Events:
    """Reads events with context."""
    return tx.data.read_events(path, context=CONTEXT)


def prepare(path: Path, out: Path) -> Any:
    """Reads, splits and prepares events."""
    return tx.data.prepare(path, out, read={"context": CONTEXT})


def _after_reading(work: Any) -> Stage:
    def stage(folder: Path, rows: int) -> tuple[Work, int]:
        events = read(events_file(folder, rows, "events.parquet"))
        return lambda: work(events), rows

    return stage


def _prepared(folder: Path, rows: int) -> Path:
    return prepared_folder(events_file(folder, rows, "events.csv"), prepare.__name__)


def _open(folder: Path, rows: int) -> tuple[Work, int]:
    return lambda: tx.data.open_prepared(_prepared(folder, rows)), rows


STAGES: dict[str, dict[str, Stage]] = {
    "read integers": {"ours": stage_of(read_integers, "integers.csv")},
    "read CSV": {"ours": stage_of(read, "events.csv")},
    "read Parquet": {"ours": stage_of(read, "events.parquet")},
    "read JSON Lines": {"ours": stage_of(read, "events.jsonl")},
    "clean": {"ours": _after_reading(lambda events: tx.data.clean(events, duplicates="first", k_core=5))},
    "split and fit": {"ours": _after_reading(tx.data.leave_last_out)},
    "describe": {"ours": _after_reading(lambda events: str(events.describe()))},
    "prepare": {"ours": stage_of(prepare, "events.csv", prepares=True)},
    "prepare strings": {"ours": stage_of(prepare, "strings.csv", prepares=True)},
    "open": {"ours": _open},
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    run_stage(STAGES[sys.argv[1]][sys.argv[2]], Path(sys.argv[3]), int(sys.argv[4]))
