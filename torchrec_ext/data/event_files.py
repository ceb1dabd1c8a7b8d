"""Events in a folder: columns that are mapped into memory, side tables, and where they came from."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from torchrec_ext.data.events import Events, SideMatch, Source, Step
from torchrec_ext.data.features import options_from

_FEATURES = ("user_features", "item_features", "context_features")
_SIDES = ("users", "items")
_TABLE = "events.arrow"
_ROWS = 1 << 20
"""Rows of a batch in the file."""


def save_events(events: Events, folder: Path) -> None:
    """Writes events into an empty folder, a batch of rows in memory at a time.

    Args:
        events: N events.
        folder: is made.
    """
    folder.mkdir(parents=True)
    table = events.table.unify_dictionaries()
    with pa.ipc.new_file(str(folder / _TABLE), table.schema) as file:
        file.write_table(table, max_chunksize=_ROWS)
    for side in _SIDES:
        table = getattr(events, side)
        if table is not None:
            pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / f"{side}.parquet")
    told = {
        "source": dataclasses.asdict(events.source),
        **{name: list(getattr(events, name)) for name in _FEATURES},
        "options": {
            name: {"kind": type(made).__name__.lower(), **dataclasses.asdict(made)}
            for name, made in events.options.items()
        },
        "weights": dict(events.weights),
        "catalogue": events.catalogue,
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
        table=pa.ipc.open_file(pa.memory_map(str(folder / _TABLE))).read_all(),
        source=Source(**source),
        users=_side(folder / "users.parquet"),
        items=_side(folder / "items.parquet"),
        **{name: tuple(told[name]) for name in _FEATURES},
        options={name: options_from(options) for name, options in told["options"].items()},
        weights=told["weights"],
        catalogue=told.get("catalogue", "events"),
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
