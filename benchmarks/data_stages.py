"""The stages of data_path.py with the library, and batches built one example at a time."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from data_events import CONTEXT, Stage, Work, events_file, prepared_folder, run_stage, stage_of
from row_by_row import Lists

import torchrec_ext as tx
from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.loader import Loader

HISTORY, BATCH, BATCHES = 64, 2048, 40


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


def _of_prepared(folder: Path, rows: int) -> tx.data.Dataset:
    """The training part of prepared events: histories of 10 events on average."""
    return tx.data.open_prepared(_prepared(folder, rows))[0]


def _of_long_histories(folder: Path, rows: int) -> tx.data.Dataset:
    """The training part of events of few users, so that almost every history is full."""
    frame = pd.read_parquet(events_file(folder, rows, "events.parquet"))
    frame["user"] = np.arange(rows) % max(rows // 1000, 1)
    return tx.data.leave_last_out(tx.data.read_events(frame, context=CONTEXT))[0]


def _batch(train_of: Any) -> dict[str, Stage]:
    def ours(folder: Path, rows: int) -> tuple[Work, int]:
        train = train_of(folder, rows)
        inputs = Inputs(tuple(f"context_{name}" for name in CONTEXT), max_length=HISTORY, candidates=True)
        loader = Loader(LastEvents(train, inputs, Candidates.of(train, "sampled", 512)), BATCH)
        epoch = loader.epoch(0)
        next(epoch)  # the order of the epoch comes with the first batch
        batches = min(BATCHES, len(loader) - 1)
        return lambda: [next(epoch) for _ in range(batches)], batches * BATCH

    def row_by_row(folder: Path, rows: int) -> tuple[Work, int]:
        train = train_of(folder, rows)
        build, rng = Lists(train.events, HISTORY), np.random.default_rng(0)
        chosen = [rng.integers(0, len(train), BATCH) for _ in range(4)]
        return lambda: [build(events) for events in chosen], len(chosen) * BATCH

    return {"ours": ours, "row by row": row_by_row}


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
    "batch": _batch(_of_prepared),
    "batch 64": _batch(_of_long_histories),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    run_stage(STAGES[sys.argv[1]][sys.argv[2]], Path(sys.argv[3]), int(sys.argv[4]))
