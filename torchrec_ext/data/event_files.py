"""Events in a folder: columns that are mapped into memory, side tables, and where they came from."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from torchrec_ext.data.events import Events
from torchrec_ext.data.features import options_from
from torchrec_ext.data.mapped_file import map_file
from torchrec_ext.data.source import Source

_SIDES = ("users", "items")
_TABLE = "events.arrow"


def save_events(events: Events, folder: Path) -> None:
    """Writes events into a new folder: columns as Arrow, side tables as Parquet, the rest as JSON."""
    folder.mkdir(parents=True)
    with pa.OSFile(str(folder / _TABLE), "wb") as file:
        for name in events.columns:  # one after the other, each in one piece, to be read without a copy
            column = events.table.select([name]).combine_chunks()
            with pa.ipc.new_stream(file, column.schema) as stream:
                stream.write_table(column)
            events.release_pages()
    for side in _SIDES:
        frame = getattr(events, side)
        if frame is not None:
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{side}.parquet")
    elsewhere = ("table", "earlier", "mapped", *_SIDES)
    rest = {f.name: getattr(events, f.name) for f in dataclasses.fields(events) if f.name not in elsewhere}
    rest["source"] = dataclasses.asdict(events.source)
    rest["options"] = {
        name: {"kind": type(options).__name__.lower(), **dataclasses.asdict(options)}
        for name, options in events.options.items()
    }
    (folder / "events.json").write_text(json.dumps(rest, indent=2))


def open_events(folder: Path) -> Events:
    """Maps what :func:`save_events` wrote; columns are read as they are asked for."""
    rest = json.loads((folder / "events.json").read_text())
    rest = {name: tuple(value) if isinstance(value, list) else value for name, value in rest.items()}
    rest["source"] = TypeAdapter(Source).validate_python(rest["source"])
    rest["options"] = {name: options_from(found) for name, found in rest["options"].items()}
    sides: dict[str, Any] = {side: _side(folder / f"{side}.parquet") for side in _SIDES}
    mapped = map_file(folder / _TABLE)
    reader, columns = pa.BufferReader(pa.py_buffer(mapped)), {}
    while reader.tell() < reader.size():
        column = pa.ipc.open_stream(reader).read_all()
        columns[column.column_names[0]] = column.column(0)
    return Events(pa.table(columns), **sides, **rest, mapped=mapped)


def _side(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    table = pq.read_table(path)
    frame = table.to_pandas()
    for field in table.schema:  # lists come back as arrays, and arrays of floats are vectors
        if pa.types.is_list(field.type) and not pa.types.is_floating(field.type.value_type):
            frame[field.name] = table[field.name].to_pylist()
    return frame
