"""Which columns of a table of events are read, and as what."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from torchrec_ext.data.reading.event_tables import OpenEvents
from torchrec_ext.data.reading.histories import read_histories
from torchrec_ext.data.reading.open_table import OpenTable, open_table
from torchrec_ext.data.sources.choose_columns import choose_columns
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.told import KINDS, Told, event_column, told_column
from torchrec_ext.errors import InputError, nearest


def open_events(
    file: TableFile, found: Declaration, told: Mapping[str, Told], context: Sequence[str], elsewhere: set[str]
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
    named = {name: told_column(name, c) for name, c in file.columns.items()}
    for name, c in told.items():
        column = told_column(name, c)
        # what is told of all tables need not be in each
        if not several or column[0] is None or column[0] in table.columns:
            named[name] = column
    sources = {name: source for name, (source, _) in named.items()}
    if several:
        context = [name for name in context if name in table.columns or name in sources]
    own = {n: c for n, c in sources.items() if n in KINDS or c not in elsewhere - set(table.columns)}
    chosen = choose_columns(table.columns, own, context, table.name, itemless=file.type in found.itemless)
    twice = next((c for c in chosen.values() if list(chosen.values()).count(c) > 1), None)
    if twice is not None:
        names = " and ".join(name for name, c in chosen.items() if c == twice)
        raise InputError(f"column {twice!r} of {table.name} is taken as {names}; use it once")
    # of several types of event or several tables not every row has an item or a rating
    spared = ("item", "rating") if several or "type" in chosen or file.type is not None else ()
    columns = [
        event_column(name, source, named[name][1] if name in named else {}, needed=_needed(name, spared))
        for name, source in chosen.items()
    ]
    return OpenEvents(table, columns, file.type)


def expect_told(told: Mapping[str, Told], tables: Sequence[OpenEvents], elsewhere: set[str]) -> None:
    """Refuses what is told of a column that no table has."""
    there = list(dict.fromkeys((*(c for opened in tables for c in opened.table.columns), *sorted(elsewhere))))
    for name, c in told.items():
        source, _ = told_column(name, c)
        if source is not None and source not in there:
            raise InputError(
                f"no table has a column {source!r}{nearest(source, there)}, which is told as {name}; there "
                f"are {', '.join(there)}"
            )


def _needed(name: str, spared: Sequence[str]) -> bool:
    return name in KINDS and name not in (*spared, "type")


def _open(file: TableFile) -> OpenTable:
    if file.format == "histories" and isinstance(file.source, str | Path):
        path = Path(file.source).expanduser()
        histories = read_histories(path)
        return OpenTable(str(path), tuple(histories.column_names), True, (path,), _memory=histories)
    name = "the DataFrame" if isinstance(file.source, pd.DataFrame) else "the Arrow table"
    return open_table(
        file.source, name=name, format=file.format, delimiter=file.delimiter,
        header=True if file.header is None else file.header,
    )  # fmt: skip
