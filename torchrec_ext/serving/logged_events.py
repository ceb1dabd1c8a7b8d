"""as_events(), as_items(): what a service has logged, in the columns that a model was trained on."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.columns import as_series, column_of, from_codes
from torchrec_ext.data.events import Events
from torchrec_ext.data.source import Source
from torchrec_ext.errors import InputError
from torchrec_ext.serving.served_event import ADDED_ITEM, NOT_HISTORY, ServedEvent


def as_events(logged: Sequence[ServedEvent], like: Events) -> Events:
    """Events of a service as a table, in the order of their times.

    Columns besides user, item, time and type come from the context of an event; a value that is not there, or
    is of another kind than the column, is missing. That holds for ``rating`` too: most events of a service
    have none, histories hold them nevertheless, and a ranker learns from those that have one. Where times are
    whole seconds, so are these. Events whose user or item cannot be an id of the data, such as a word where
    ids are integers, are left out, and so is what was shown. Items that were added are rows of its table
    ``items``.

    Args:
        logged: the events.
        like: events whose columns are wanted.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> rated = pd.DataFrame({"user": [7], "item": ["a"], "timestamp": [1.6e9], "rating": [4.0]})
        >>> click = ServedEvent("8", "b", 1700000000.7)
        >>> as_events([click, ServedEvent("ann", "b", 1.7e9)], read_events(rated)).frame.values.tolist()
        [[8, 'b', 1700000000, nan]]
    """
    kinds = {name: like.table.schema.field(name).type for name in ("user", "item") if name in like.columns}
    kept = [
        event
        for event in sorted(logged, key=lambda event: event.timestamp)
        if event.type not in NOT_HISTORY
        and all(
            getattr(event, name) is None or _word(kind.value_type)(getattr(event, name)) is not None
            for name, kind in kinds.items()
        )
    ]
    columns = [_column([_value(event, f.name) for event in kept], f.type) for f in like.table.schema]
    order = like.source.order
    source = Source("events of a service", sha256="", files={}, order=order, ties=0, rows=len(kept))
    items = None if like.items is None else as_items(logged, like.items)
    return Events(pa.table(columns, schema=like.table.schema), source, items=items)


def as_items(logged: Sequence[ServedEvent], like: pd.DataFrame, *, strict: bool = False) -> pd.DataFrame:
    """The items that were added, in the columns of a table of items; the last entry of each item counts.

    Args:
        logged: what a service has logged; other events are passed over.
        like: the table whose columns are wanted.
        strict: refuses a value that cannot be one of its column; otherwise it is missing.

    Raises:
        InputError: if one is refused; the message calls the entries ``items``.

    Example:
        >>> film = ServedEvent(ADDED_ITEM, 8, 1.7e9, ADDED_ITEM, {"year": 2024})
        >>> as_items([film], pd.DataFrame({"item": [7], "year": [1999]})).values.tolist()
        [[8, 2024]]
    """
    kind_of_ids = column_of(like["item"]).type
    word = _word(kind_of_ids.value_type)
    found: dict[Any, tuple[int, ServedEvent]] = {}
    for place, entry in enumerate(logged):
        if entry.type != ADDED_ITEM:
            continue
        id = word(entry.item)
        if id is not None:
            found.pop(id, None)
            found[id] = (place, entry)
        elif strict:
            raise InputError(
                f"items[{place}].item should be an integer as in the data, received {entry.item!r}"
            )
    if not found:
        return like.iloc[:0]
    columns = {"item": _column([*found], kind_of_ids)}
    for name in like.columns.drop("item"):
        kind = column_of(like[name]).type
        values = [entry.context.get(name) for _, entry in found.values()]
        columns[name] = _column(values, kind)
        for value, made, (place, _) in zip(values, columns[name], found.values(), strict=True):
            if strict and value is not None and not _is_whole(value, made):
                raise InputError(
                    f"items[{place}].columns: {name!r} should be {_expected(kind)}, received {value!r:.60}"
                )
    return pd.DataFrame({name: as_series(columns[name]) for name in like})


def _expected(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"a list of {kind.list_size} numbers"
    word = kind.value_type if pa.types.is_dictionary(kind) or pa.types.is_list(kind) else kind
    if pa.types.is_list(kind):
        return f"a list, each part {_expected(word)}"
    return "an integer" if pa.types.is_integer(word) else "a number" if word == kind else "a string"


def _is_whole(value: Any, made: pa.Scalar) -> bool:
    """Whether nothing of a value was lost when it became one of a column."""
    if pa.types.is_list(made.type):
        return len(made) == (len(value) if isinstance(value, list) else 1)
    return made.is_valid


def _value(event: ServedEvent, name: str) -> Any:
    own = ("user", "item", "timestamp", "type")
    return getattr(event, name) if name in own else event.context.get(name)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values as JSON has them as a column of a type of :mod:`~torchrec_ext.data.columns`."""
    if pa.types.is_dictionary(kind):
        return _dictionary(values, kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.array([_vector(value, kind.list_size) for value in values], kind)
    if pa.types.is_list(kind):
        lists = [_listed(value, _word(kind.value_type.value_type)) for value in values]
        offsets = np.cumsum([0, *map(len, lists)]).astype(np.int32)
        words = _dictionary([word for words in lists for word in words], kind.value_type.value_type)
        return pa.ListArray.from_arrays(pa.array(offsets), words)
    numbers = [_number(value) for value in values]
    if pa.types.is_timestamp(kind):
        return pa.array([None if n is None else round(n * 10**6) * 1000 for n in numbers], pa.int64()).cast(
            kind
        )
    if pa.types.is_integer(kind):
        return pa.array([None if n is None else math.floor(n) for n in numbers], kind)
    return pa.array(numbers, kind)


def _dictionary(values: list[Any], kind: pa.DataType) -> pa.Array:
    word = _word(kind)
    made = [None if value is None else word(value) for value in values]
    places = {value: place for place, value in enumerate(dict.fromkeys(v for v in made if v is not None))}
    codes = np.array([-1 if value is None else places[value] for value in made], np.int32)
    return from_codes(codes, pa.array([*places], kind))


def _word(kind: pa.DataType) -> Callable[[Any], Any]:
    """What turns a value into an integer of 64 bits, or into a string; None for what cannot be one."""
    return _integer if pa.types.is_integer(kind) else _string


def _string(value: Any) -> str | None:
    if _is_nested(value):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)  # as the data has it


def _integer(value: Any) -> int | None:
    number = None if _is_nested(value) else _whole(value)
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        spelt = value.removeprefix("-")
        return int(value) if spelt.isascii() and spelt.isdecimal() and str(int(value)) == value else None
    return int(value) if value == math.floor(value) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or _is_nested(value):
        return None
    try:
        number = math.nan if value is None else float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _vector(value: Any, width: int) -> list[float | None] | None:
    numbers = [_number(part) for part in value] if isinstance(value, list) else []
    return numbers if len(numbers) == width and None not in numbers else None


def _listed(value: Any, word: Callable[[Any], Any]) -> list[Any]:
    parts = value if isinstance(value, list) else [value]
    return [made for part in parts if part is not None and (made := word(part)) is not None]


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | dict)
