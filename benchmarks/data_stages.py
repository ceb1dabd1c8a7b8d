"""The stages that data_path.py times, each in a separate process: ours, and the usual way in pandas."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch
from row_by_row import Lists

import torchrec_ext as tx
from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.errors import InputError

Work = Callable[[], Any]
Stage = Callable[[Path, int], tuple[Work, int]]
"""Folder of the generated files and their number of rows -> the timed work, and its number of rows."""

CONTEXT = ("weekday", "hour", "device")
HISTORY, BATCH, BATCHES = 64, 2048, 40
_BLOCK = 1_000_000


def generate(folder: Path, rows: int, formats: tuple[str, ...], seed: int = 0) -> None:
    """Writes events in order of time: users of 20 events on average, items after Zipf's law.

    Args:
        folder: of the files ``events-<rows>.csv`` and so on; an existing file is kept.
        rows: number of events.
        formats: csv, parquet, jsonl.
        seed: of the events.
    """
    for format in formats:
        path = events_file(folder, rows, format)
        if path.is_file():
            continue
        rng, partial = np.random.default_rng(seed), path.with_suffix(".partial")
        with partial.open("wb") as file:
            writer = None
            for start in range(0, rows, _BLOCK):
                table = _events(rng, start, min(_BLOCK, rows - start), users=max(rows // 20, 1))
                if format == "csv":
                    options = pa.csv.WriteOptions(include_header=start == 0, quoting_style="none")
                    pa.csv.write_csv(table, file, options)
                elif format == "jsonl":
                    table.to_pandas().to_json(file, orient="records", lines=True)
                else:
                    writer = writer or pa.parquet.ParquetWriter(file, table.schema)
                    writer.write_table(table)
            if writer is not None:
                writer.close()
        partial.rename(path)


def events_file(folder: Path, rows: int, format: str) -> Path:
    """Path of the file with this number of generated events."""
    return folder / f"events-{rows}.{format}"


def _events(rng: np.random.Generator, start: int, rows: int, users: int) -> pa.Table:
    times = 1_500_000_000 + 60 * np.arange(start, start + rows)
    return pa.table({
        "user": rng.integers(0, users, rows),
        "item": np.minimum(rng.zipf(1.2, rows), 100_000),
        "timestamp": times,
        "rating": rng.integers(1, 6, rows),
        "weekday": times // 86_400 % 7,
        "hour": times // 3600 % 24,
        "device": np.array(["phone", "tablet", "computer"])[rng.integers(0, 3, rows)],
    })  # fmt: skip


def _read(format: str) -> Stage:
    def stage(folder: Path, rows: int) -> tuple[Work, int]:
        path = events_file(folder, rows, format)
        return lambda: tx.data.read_events(path, context=CONTEXT), rows

    return stage


def _read_pandas(read: Callable[[Path], pd.DataFrame], format: str) -> Stage:
    def stage(folder: Path, rows: int) -> tuple[Work, int]:
        path = events_file(folder, rows, format)

        def work() -> list:
            frame = read(path)  # ids to codes, as ours does and any model needs
            return [pd.factorize(frame[column]) for column in ("user", "item", *CONTEXT)]

        return work, rows

    return stage


def _clean(folder: Path, rows: int) -> tuple[Work, int]:
    events = tx.data.read_events(events_file(folder, rows, "parquet"), context=CONTEXT)
    return lambda: tx.data.clean(events, duplicates="first", k_core=5), rows


def _clean_pandas(folder: Path, rows: int) -> tuple[Work, int]:
    frame = pd.read_parquet(events_file(folder, rows, "parquet"))

    def work() -> pd.DataFrame:
        left = frame.sort_values("timestamp", kind="stable").drop_duplicates(["user", "item"], keep="first")
        while True:
            users, items = (left.groupby(name)[name].transform("size") for name in ("user", "item"))
            stays = (users >= 5) & (items >= 5)
            if stays.all():
                return left
            left = left[stays]

    return work, rows


def _split(folder: Path, rows: int) -> tuple[Work, int]:
    events = tx.data.read_events(events_file(folder, rows, "parquet"), context=CONTEXT)
    return lambda: tx.data.leave_last_out(events), rows


def _describe(folder: Path, rows: int) -> tuple[Work, int]:
    events = tx.data.read_events(events_file(folder, rows, "parquet"), context=CONTEXT)
    return lambda: str(tx.data.describe(events)), rows


def _prepare(folder: Path, rows: int) -> tuple[Work, int]:
    prepared, path = prepared_folder(folder, rows), events_file(folder, rows, "csv")
    shutil.rmtree(prepared, ignore_errors=True)
    return lambda: tx.data.prepare(path, prepared, read={"context": CONTEXT}), rows


def _open(folder: Path, rows: int) -> tuple[Work, int]:
    prepared = prepared_folder(folder, rows)
    return lambda: tx.data.open_prepared(prepared), rows


def _batch(folder: Path, rows: int) -> tuple[Work, int]:
    train, _, _ = tx.data.open_prepared(prepared_folder(folder, rows))
    inputs = Inputs(tuple(f"context_{name}" for name in CONTEXT), max_length=HISTORY, candidates=True)
    loader = Loader(LastEvents(train, inputs, Candidates.of(train, "sampled", 512)), BATCH)
    epoch = loader.epoch(0)
    next(epoch)  # the order of the epoch comes with the first batch
    batches = min(BATCHES, len(loader) - 1)
    return lambda: [next(epoch) for _ in range(batches)], batches * BATCH


def _batch_row_by_row(folder: Path, rows: int) -> tuple[Work, int]:
    train, _, _ = tx.data.open_prepared(prepared_folder(folder, rows))
    build, rng = Lists(train.events, HISTORY), np.random.default_rng(0)
    chosen = [rng.integers(0, len(train), BATCH) for _ in range(4)]
    return lambda: [build(events) for events in chosen], len(chosen) * BATCH


def prepared_folder(folder: Path, rows: int) -> Path:
    """Path of the folder with this number of prepared events."""
    return folder / f"prepared-{rows}"


def _read_json(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True, convert_dates=False)


STAGES: dict[str, dict[str, Stage]] = {
    "read CSV": {"ours": _read("csv"), "pandas": _read_pandas(pd.read_csv, "csv")},
    "read Parquet": {"ours": _read("parquet"), "pandas": _read_pandas(pd.read_parquet, "parquet")},
    "read JSON Lines": {"ours": _read("jsonl"), "pandas": _read_pandas(_read_json, "jsonl")},
    "clean": {"ours": _clean, "pandas": _clean_pandas},
    "split and fit": {"ours": _split},
    "describe": {"ours": _describe},
    "prepare": {"ours": _prepare},
    "open": {"ours": _open},
    "batch": {"ours": _batch, "row by row": _batch_row_by_row},
}


def run_stage(name: str, contender: str, folder: Path, rows: int) -> None:
    """Runs one stage in this process and prints its seconds, rows and memory as JSON."""
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    try:
        work, handled = STAGES[name][contender](folder, rows)
    except KeyError as error:
        raise InputError(f"there is no stage {name!r} of {contender!r}") from error
    before, began = _peak(), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    del result
    print(json.dumps({"seconds": seconds, "rows": handled, "before": before, "peak": _peak()}))


def _peak() -> int:
    """Peak memory of this process in bytes; getrusage may return the peak of its parent instead."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
