"""Which columns of a table of events are read, and as what."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from torchrec_ext.data.reading.event_tables import OpenEvents
from torchrec_ext.data.reading.histories import read_histories
from torchrec_ext.data.reading.open_table import OpenTable, open_text
from torchrec_ext.data.sources.choose_columns import choose_columns
from torchrec_ext.data.sources.column_spec import EVENT_KINDS, parse_columns
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.errors import InputError, nearest

Parsed = tuple[str | None, dict[str, Any]]


def open_events(
    file: TableFile,
    found: Declaration,
    told: Mapping[str, Parsed],
    context: Sequence[str],
    elsewhere: set[str],
) -> OpenEvents:
    """Opens a table of events.

    Args:
        file: the table.
        found: the data set it belongs to.
        told: our names to what the tables call them.
        context: columns that a model may use.
        elsewhere: columns of side tables, which ``told`` may name as well.

    Raises:
        InputError: if the table cannot be opened, or a column is not there.
    """
    table = _open(file)
    several = len(found.events) > 1
    named = parse_columns(file.columns, table.name)
    for name, column in told.items():
        # what is told of all tables need not be in each
        if not several or column[0] is None or column[0] in table.columns:
            named[name] = column
    if several:
        context = [name for name in context if name in table.columns or name in named]
    own = {n: c for n, c in named.items() if n in EVENT_KINDS or c[0] not in elsewhere - set(table.columns)}
    columns = choose_columns(
        table.columns,
        own,
        context,
        table.name,
        itemless=file.type in found.itemless,
        incomplete=several or file.type is not None,
    )
    return OpenEvents(table, columns, file.type)


def expect_told(told: Mapping[str, Parsed], tables: Sequence[OpenEvents], elsewhere: set[str]) -> None:
    """Refuses what is told of a column that no table has."""
    there = list(dict.fromkeys((*(c for opened in tables for c in opened.table.columns), *sorted(elsewhere))))
    for name, (source, _) in told.items():
        if source is not None and source not in there:
            raise InputError(
                f"no table has a column {source!r}{nearest(source, there)}, which is told as {name}; there "
                f"are {', '.join(there)}"
            )


def _open(file: TableFile) -> OpenTable:
    if file.format == "histories" and isinstance(file.source, str | Path):
        path = Path(file.source).expanduser()
        histories = read_histories(path)
        return OpenTable(str(path), tuple(histories.column_names), True, (path,), _memory=histories)
    name = "the DataFrame" if isinstance(file.source, pd.DataFrame) else "the Arrow table"
    return open_text(file, name)
