"""join_events(): later events behind earlier ones, in the columns of these."""

import dataclasses

import pandas as pd
import pyarrow as pa

from torchrec_ext.data.content import Content
from torchrec_ext.data.events import Events
from torchrec_ext.errors import InputError


def join_events(before: Events, new: Events, *, repeats: bool = False) -> Events:
    """The events of both, those before first; columns, features and options are those before.

    Args:
        before: earlier events.
        new: later ones, which have at least the same columns. Ids may be integers where those before are
            strings. Rows of its side tables are added, or take the place of those of the same id.
        repeats: allows new events with the user, item and time of one before.

    Raises:
        InputError: if a column is missing or of another kind, or new events are among those before.

    Example:
        >>> from torchrec_ext.data.sources.read import read_events
        >>> old, new = (read_events(pd.DataFrame({"user": ["ann"], "item": [i]})) for i in ("a", "b"))
        >>> join_events(old, new).frame["item"].tolist()
        ['a', 'b']
    """
    columns = []
    for field in before.table.schema:
        column = new.column(field.name)
        if column is None:
            raise InputError(
                f"the new events lack the column {field.name!r}; they have {', '.join(new.columns)}"
            )
        columns.append(_as_before(field.name, column, field.type))
    added = pa.table(columns, schema=before.table.schema)
    source = dataclasses.replace(
        before.source,
        files={**before.source.files, **new.source.files},
        ties=before.source.ties + new.source.ties,
        rows=before.source.rows + new.source.rows,
        steps=(*before.source.steps, *new.source.steps),
        sides=new.source.sides or before.source.sides,
    )
    both = dataclasses.replace(
        before,
        table=pa.concat_tables([before.table, added]).unify_dictionaries(),
        source=source,
        users=_side(before.users, new.users, "user"),
        items=_side(before.items, new.items, "item"),
    )
    if not repeats:
        _expect_new(both, len(before))
    return dataclasses.replace(both, source=dataclasses.replace(source, content=Content(both)))


def _as_before(name: str, column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in the type of that before; integers may become strings or floats, never the reverse."""
    try:
        if pa.types.is_dictionary(kind) and pa.types.is_dictionary(column.type):
            words = column.dictionary.cast(kind.value_type)
            return pa.DictionaryArray.from_arrays(column.indices, words)
        if pa.types.is_timestamp(kind) and pa.types.is_integer(column.type):
            column = column.cast(pa.timestamp("s"))
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column {name!r} of the new events is {column.type}, expected {kind} as before "
            f"({' '.join(str(error).split())[:100]}); convert it, or declare its kind"
        ) from None


def _side(before: pd.DataFrame | None, new: pd.DataFrame | None, entity: str) -> pd.DataFrame | None:
    """The rows of both side tables; a new row of a known id takes the place of the old one."""
    if before is None or new is None:
        return before
    lacking = [name for name in before if name not in new]
    if lacking:
        raise InputError(
            f"the new table of {entity}s lacks the column {lacking[0]!r}; give it the same columns"
        )
    if not pd.api.types.is_integer_dtype(before[entity].dtype):
        new = new.assign(**{entity: new[entity].astype(str)})
    rows = pd.concat([before, new[list(before)]], ignore_index=True)
    return rows.drop_duplicates(entity, keep="last").reset_index(drop=True)


def _expect_new(events: Events, count: int) -> None:
    """Refuses events whose user, item and time stand among the first ``count`` events already."""
    if events.ticks is None or not {"user", "item"} <= {*events.columns}:
        return
    columns = {"user": events.codes("user"), "item": events.codes("item"), "time": events.ticks}
    rows = pd.DataFrame(columns, copy=False)
    old, new = rows[:count], rows[count:]
    again = len(new.merge(old[old["time"] >= new["time"].min()].drop_duplicates()))
    if again:
        raise InputError(
            f"{again:,} of the {len(events) - count:,} new events have the user, item and time of an "
            "event in the folder; append later events alone"
        )
