"""Events in a folder: columns that are mapped into memory, side tables, and where they came from."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from torchrec_ext.data.array_file import column_file, open_array
from torchrec_ext.data.coded import Coded, CodedLists, Column
from torchrec_ext.data.events import Events, SideMatch, Source, Step
from torchrec_ext.data.features import options_from
from torchrec_ext.data.features.plain import plain
from torchrec_ext.data.gather import OFFSETS, gather

_FEATURES = ("user_features", "item_features", "context_features")
_SIDES = ("users", "items")
_WORDS = ".words.parquet"


def save_events(events: Events, folder: Path) -> None:
    """Writes events into an empty folder, a piece of a column in memory at a time.

    Args:
        events: N events.
        folder: is made.
    """
    folder.mkdir(parents=True)
    rows = np.arange(len(events), dtype=np.int64)
    for name, column in events.columns.items():
        _save_column(column, rows, folder, name)
    for side in _SIDES:
        table = getattr(events, side)
        if table is not None:
            pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / f"{side}.parquet")
    told = {
        "columns": {name: _kind(column) for name, column in events.columns.items()},
        "source": dataclasses.asdict(events.source),
        **{name: list(getattr(events, name)) for name in _FEATURES},
        "options": {
            name: {"kind": type(o).__name__.lower(), **plain(o)} for name, o in events.options.items()
        },
        "weights": dict(events.weights),
    }
    (folder / "events.json").write_text(json.dumps(told, indent=2))


def open_events(folder: Path) -> Events:
    """Maps what :func:`save_events` wrote; columns are read as they are asked for."""
    told: dict[str, Any] = json.loads((folder / "events.json").read_text())
    source = dict(told["source"])
    source["steps"] = tuple(Step(**step) for step in source["steps"])
    source["sides"] = tuple(SideMatch(**side) for side in source["sides"])
    source["calls"] = tuple(source.get("calls", ()))
    return Events(
        columns={name: _open_column(kind, folder, name) for name, kind in told["columns"].items()},
        source=Source(**source),
        users=_side(folder / "users.parquet"),
        items=_side(folder / "items.parquet"),
        **{name: tuple(told[name]) for name in _FEATURES},
        options={name: options_from(options) for name, options in told["options"].items()},
        weights=told["weights"],
    )


def _kind(column: Column) -> str:
    return "numbers" if isinstance(column, np.ndarray) else type(column).__name__


def _save_column(column: Column, rows: np.ndarray, folder: Path, name: str) -> None:
    if isinstance(column, CodedLists):
        np.save(column_file(folder, name, OFFSETS), column.offsets)
        _save_column(column.values, np.arange(len(column.values), dtype=np.int64), folder, name)
        return
    gather(column.codes if isinstance(column, Coded) else column, rows, folder, name)
    if isinstance(column, Coded):
        pq.write_table(pa.table({"word": pa.array(column.words)}), column_file(folder, name, _WORDS))


def _open_column(kind: str, folder: Path, name: str) -> Column:
    values = open_array(column_file(folder, name))
    if kind not in (Coded.__name__, CodedLists.__name__):
        return values
    words = pq.read_table(column_file(folder, name, _WORDS)).column("word").to_pandas()
    coded = Coded(values, pd.Index(words))
    return (
        coded if kind == Coded.__name__ else CodedLists(coded, open_array(column_file(folder, name, OFFSETS)))
    )


def _side(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    frame = pq.read_table(path).to_pandas()
    for name in frame:
        there = frame[name].dropna()
        # lists come back as arrays, and arrays of floats are vectors
        if len(there) and isinstance(there.iloc[0], np.ndarray) and there.iloc[0].dtype.kind != "f":
            frame[name] = [
                value.tolist() if isinstance(value, np.ndarray) else value for value in frame[name]
            ]
    return frame
