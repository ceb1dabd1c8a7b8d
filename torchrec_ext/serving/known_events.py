"""The events that a bundle brings: histories and seen items of its users, and the columns of its items."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from torchrec_ext.data.columns import kind_of, one_array
from torchrec_ext.data.events import Events
from torchrec_ext.data.source import Source

_EVENTS, _ITEMS, _REST = "events.parquet", "items.parquet", "events.json"


def save_known(events: Events, columns: set[str], folder: Path) -> None:
    """Writes events and the table of items into a new folder, as Parquet and JSON.

    Args:
        events: every event known now.
        columns: further columns of the events that the model reads.
        folder: which does not exist.
    """
    folder.mkdir(parents=True)
    kept = {"user", "item", "timestamp", "rating", "type"} | columns
    table = events.table.select([name for name in events.columns if name in kept])
    words = [n for n in table.column_names if kind_of(one_array(table[n])).startswith("categor")]
    pq.write_table(table, folder / _EVENTS)
    if events.items is not None:
        pq.write_table(pa.Table.from_pandas(events.items, preserve_index=False), folder / _ITEMS)
    source = {"name": events.source.name, "order": events.source.order, "ties": events.source.ties}
    rest = {"source": source, "weights": dict(events.weights), "words": words}
    (folder / _REST).write_text(json.dumps(rest, indent=2))


def open_known(folder: Path) -> Events | None:
    """What :func:`save_known` wrote; None if the folder is not there."""
    if not folder.is_dir():
        return None
    rest = json.loads((folder / _REST).read_text())
    table = pq.read_table(folder / _EVENTS)
    columns = {
        n: _encoded(one_array(table[n])) if n in rest["words"] else table[n] for n in table.column_names
    }
    source: dict[str, Any] = {"sha256": "", "files": {}, "rows": table.num_rows, **rest["source"]}
    items = pd.read_parquet(folder / _ITEMS) if (folder / _ITEMS).is_file() else None
    return Events(pa.table(columns), Source(**source), items=items, weights=rest["weights"])


def _encoded(column: pa.Array) -> pa.Array:
    """A column with its dictionary, which Parquet keeps of strings alone."""
    if pa.types.is_list(column.type):
        return pa.ListArray.from_arrays(column.offsets, _encoded(column.values))
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
