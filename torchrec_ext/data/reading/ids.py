"""Ids of users and items: integers or strings, given back as they came."""

import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

Kind = Literal["integer", "string"]


class IdColumn(NamedTuple):
    """Ids as read, missing ones already taken out.

    Args:
        values: the ids.
        text: whether they come from a text file, where 7 may be meant as a number or as a word.
        where: names the column in messages.
    """

    values: pd.Series
    text: bool
    where: str


def to_one_kind(columns: Sequence[IdColumn]) -> list[pd.Series]:
    """Id columns of one entity (events, side table) as integers in all or as strings in all.

    Ids from a text file become integers only if every one is written the way Python writes that
    integer, so that ``007`` stays ``007``. Ids from a typed table keep their type.

    Returns:
        One series a column, int64 or of pandas' string type, with the index of the input.

    Raises:
        InputError: for ids that are neither integers nor strings, or of two kinds.
    """
    kinds = [_kind(column) for column in columns]
    fixed = {kind: column for kind, column in zip(kinds, columns, strict=True) if kind is not None}
    if len(fixed) == 2:
        number, word = fixed["integer"], fixed["string"]
        raise InputError(
            f"ids of {number.where} are integers ({shown(number.values.iloc[0])}), ids of {word.where} "
            f"strings ({shown(word.values.iloc[0])}); make both the same type, with astype(str)"
        )
    return [_convert(column.values, words="string" in fixed) for column in columns]


def shown(value: object) -> str:
    """A value as a message shows it: NumPy's numbers as Python's."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _kind(column: IdColumn) -> Kind | None:
    """The kind of a column of ids; None if it is a text file's and either would do."""
    values, text, where = column
    if len(values) == 0:
        return None
    if text:
        words = _distinct(values)
        if _all_integers(words):
            return None
        if words.str.fullmatch(r"-?\d+\.0").all():
            log.warning("ids of %s look like integers turned into floats: %s stays as it is", where, words[0])
        return "string"
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(_distinct(values))
    if pd.api.types.is_bool_dtype(values.dtype):
        raise InputError(f"ids of {where} are booleans; ids must be integers or strings")
    if pd.api.types.is_integer_dtype(values.dtype):
        if values.max() > np.iinfo(np.int64).max:
            raise InputError(
                f"id {values.max()} of {where} is beyond 64 bits; make the ids strings with astype(str)"
            )
        return "integer"
    if pd.api.types.is_float_dtype(values.dtype):
        raise InputError(
            f"ids of {where} are floats (such as {values.iloc[0]}); ids must be integers or strings. Missing "
            "values turn integers into floats: drop them and use astype('int64'), or astype('Int64')"
        )
    inferred = pd.api.types.infer_dtype(values, skipna=False)
    if inferred in ("integer", "string"):
        return inferred
    raise InputError(
        f"ids of {where} are {inferred}: {', '.join(_samples(values))}; ids must be all integers or all "
        "strings, convert them with astype(str)"
    )


def _convert(values: pd.Series, words: bool) -> pd.Series:
    if words:
        return values.astype(str)
    if isinstance(values.dtype, pd.CategoricalDtype):
        used = _used(values)
        numbers = np.zeros(len(used), dtype=np.int64)
        numbers[used] = values.cat.categories[used].to_numpy().astype(np.int64)
        return pd.Series(numbers[values.cat.codes.to_numpy()], index=values.index)
    return values.astype(np.int64)


def _used(values: pd.Series) -> np.ndarray:
    """Which categories have rows, (categories,) bool: those of rows left out must not decide anything."""
    used = np.zeros(len(values.cat.categories), dtype=bool)
    used[values.cat.codes.to_numpy()] = True
    return used


def _distinct(values: pd.Series) -> pd.Index:
    return values.cat.categories[_used(values)]


def _all_integers(words: pd.Index) -> bool:
    """Whether each of these words is an integer of 64 bits, written as Python writes it."""
    written = pa.array(words, type=pa.string())
    try:
        again = pc.cast(pc.cast(written, pa.int64()), pa.string())
    except pa.ArrowInvalid:
        return False
    return bool(again.equals(written))


def _samples(values: pd.Series) -> list[str]:
    """One value of each type there is, at most three."""
    return [repr(v) for v in values.groupby(values.map(type).map(str)).first().head(3)]
