"""Ids of users and items: integers or strings, given back as they came."""

import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.shown import shown
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

Kind = Literal["integer", "string"]


class IdColumn(NamedTuple):
    """The distinct ids of a column.

    Args:
        values: (n,) int64, or words.
        text: whether they come from a text file, where 7 may be meant as a number or as a word.
        where: names the column in messages.
    """

    values: pd.Series
    text: bool
    where: str


def to_one_kind(columns: Sequence[IdColumn]) -> list[pd.Series]:
    """Id columns of one entity (events, side tables) as integers in all or as strings in all.

    Ids from a text file become integers only if every one is written the way Python writes that
    integer, so that ``007`` stays ``007``. Ids from a typed table keep their type.

    Returns:
        One series a column, int64 or of pandas' string type.

    Raises:
        InputError: for ids of two kinds.
    """
    kinds = [_kind(column) for column in columns]
    fixed = {kind: column for kind, column in zip(kinds, columns, strict=True) if kind is not None}
    if len(fixed) == 2:
        number, word = fixed["integer"], fixed["string"]
        raise InputError(
            f"ids of {number.where} are integers ({shown(number.values.iloc[0])}), ids of {word.where} "
            f"strings ({shown(word.values.iloc[0])}); make both the same type, with astype(str)"
        )
    return [column.values.astype(str if "string" in fixed else np.int64) for column in columns]


def are_integers(words: pa.Array) -> bool:
    """Whether each of these (n,) words is an integer of 64 bits, written as Python writes it."""
    try:
        again = pc.cast(pc.cast(words, pa.int64()), pa.string())
    except pa.ArrowInvalid:
        return False
    return bool(again.equals(words))


def _kind(column: IdColumn) -> Kind | None:
    """The kind of a column of ids; None if it is a text file's and either would do."""
    values, text, where = column
    if len(values) == 0:
        return None
    if not text:
        return "integer" if pd.api.types.is_integer_dtype(values.dtype) else "string"
    if are_integers(pa.array(values, type=pa.string())):
        return None
    if values.str.fullmatch(r"-?\d+\.0").all():
        log.warning("ids of %s look like integers turned into floats: %s stays as it is", where, values[0])
    return "string"
