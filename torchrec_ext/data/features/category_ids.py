"""Ids of a categorical column: integers or strings, however the table holds them."""

import numpy as np
import pandas as pd

from torchrec_ext.data.features.missing import Values, an_example, as_column, called
from torchrec_ext.errors import InputError


def as_ids(values: Values) -> pd.Series:
    """A column as integers or as strings.

    Floats that are whole become integers, since a missing value turns a table's integers into floats;
    flags become 0 and 1. Where integers stand among strings, all become strings.

    Args:
        values: n integers, strings or flags; None and NaN are missing.

    Returns:
        n ids, of pandas' type Int64, or strings; what is missing stays missing.

    Raises:
        InputError: if something else is among them, such as fractions, dates or lists.

    Example:
        >>> as_ids([7.0, None, 9.0]).tolist()
        [7, <NA>, 9]
        >>> as_ids(["a", 7]).tolist()
        ['a', '7']
    """
    column = as_column(values)
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, used = pd.factorize(column)
        distinct = as_ids(pd.Series(used.astype(object), name=column.name))
        return pd.Series(distinct.array.take(codes, allow_fill=True), name=column.name)
    kind = _kind(column)
    if kind == "string":
        return column
    if kind == "integer":
        try:
            return column.astype("Int64")
        except (TypeError, ValueError, OverflowError):
            kind = "integers beyond 64 bits or fractions"
    elif kind == "mixed-integer" and all(isinstance(i, str | int | np.integer) for i in column.dropna()):
        return column.where(column.isna(), column.astype(str))
    raise InputError(
        f"{called(column)} holds {kind} such as {an_example(column)}; a category should be integers or "
        "strings, convert it with astype(str)"
    )


def filled(ids: pd.Series, value: str | int | None) -> pd.Series:
    """The ids with a value for those that are missing; None leaves them missing.

    Example:
        >>> filled(as_ids([7, None]), "none").tolist()
        ['7', 'none']
    """
    missing = ids.isna()
    if value is None or not missing.any():
        return ids
    if pd.api.types.is_integer_dtype(ids.dtype) and isinstance(value, int):
        return ids.fillna(value)
    return ids.astype(str).where(~missing, str(value))


def _kind(column: pd.Series) -> str:
    """What pandas takes the values that are there for; flags and whole floats are integers."""
    if pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        return "string"
    kind = pd.api.types.infer_dtype(column, skipna=True)
    kind = {"empty": "string", "boolean": "integer", "floating": "integer"}.get(kind, kind)
    return {"mixed-integer-float": "integer", "integer-na": "integer"}.get(kind, kind)
