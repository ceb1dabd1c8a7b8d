"""The generated events of data_path.py, and how a stage is timed in a process of its own."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

Work = Callable[[], Any]
Stage = Callable[[Path, int], tuple[Work, int]]
"""Folder of the generated files and their number of rows -> the timed work, and the number of rows of it."""

CONTEXT = ("weekday", "hour", "device")
CODED = ("user", "item", *CONTEXT)
"""Columns that become rows of a vocabulary."""
_BLOCK = 1_000_000


def events_file(folder: Path, rows: int, name: str) -> Path:
    """The file of this number of events: ``events.csv`` is ``events-2000.csv`` in the folder."""
    kind, _, suffix = name.partition(".")
    return folder / f"{kind}-{rows}.{suffix}"


def generate(folder: Path, rows: int, name: str, seed: int = 0) -> None:
    """Writes events in order of time: users of 20 events on average, items after Zipf's law.

    Args:
        folder: of the file; an existing one is kept.
        rows: number of events.
        name: ``events.csv``, ``.parquet`` or ``.jsonl`` have seven columns, ``strings.csv`` has ids such as
            u0001234 and i000123, ``integers.csv`` has no context.
        seed: of the events.
    """
    path = events_file(folder, rows, name)
    if path.is_file():
        return
    rng, partial, writer = np.random.default_rng(seed), path.with_suffix(".partial"), None
    with partial.open("wb") as file:
        for start in range(0, rows, _BLOCK):
            table = _events(rng, start, min(_BLOCK, rows - start), users=max(rows // 20, 1))
            if name == "integers.csv":
                table = table.drop_columns(list(CONTEXT))
            if name == "strings.csv":
                for place, (column, width) in enumerate({"user": 7, "item": 6}.items()):
                    digits = pc.utf8_lpad(table[column].cast(pa.string()), width, "0")
                    ids = pc.binary_join_element_wise(column[0], digits, "")
                    table = table.set_column(place, column, ids)
            if path.suffix == ".csv":
                options = pa.csv.WriteOptions(include_header=start == 0, quoting_style="none")
                pa.csv.write_csv(table, file, options)
            elif path.suffix == ".jsonl":
                table.to_pandas().to_json(file, orient="records", lines=True)
            else:
                writer = writer or pa.parquet.ParquetWriter(file, table.schema)
                writer.write_table(table)
        if writer is not None:
            writer.close()
    partial.rename(path)


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


def stage_of(run: Callable[..., Any], name: str, prepares: bool = False) -> Stage:
    """A stage that calls ``run(path)`` or, if it prepares, ``run(path, out)``; ``out`` is to be made."""

    def stage(folder: Path, rows: int) -> tuple[Work, int]:
        path = events_file(folder, rows, name)
        if not prepares:
            return lambda: run(path), rows
        out = prepared_folder(path, run.__name__)
        shutil.rmtree(out, ignore_errors=True)
        return lambda: run(path, out), rows

    return stage


def prepared_folder(path: Path, run: str) -> Path:
    """The folder that a function of this name writes from a file."""
    return path.with_name(f"{path.stem}-{run}")


def run_stage(stage: Stage, folder: Path, rows: int) -> None:
    """Runs a stage on one core and prints its seconds, rows and memory as JSON."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    work, handled = stage(folder, rows)
    before, began, busy = _peak(), time.perf_counter(), time.process_time()
    result = work()
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - busy}
    del result
    print(json.dumps({**took, "rows": handled, "before": before, "peak": _peak()}))


def _peak() -> int:
    """Peak memory of this process in bytes; getrusage may return the peak of its parent instead."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
