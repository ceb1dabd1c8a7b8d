"""Filters on the columns of items."""

import numpy as np
import pandas as pd

from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError


def rows_where(
    preparation: Preparation, items: pd.DataFrame | None, where: str | pd.Series | np.ndarray
) -> np.ndarray:
    """Rows of the items that fulfil a condition; an item without a row in the table does not.

    Args:
        preparation: how ids became rows.
        items: the table of items; of two rows of one item the first counts.
        where: a condition such as ``DataFrame.query`` takes, or a boolean for each row of the table.

    Returns:
        (n,) int64 rows.

    Raises:
        InputError: if there is no table, or the condition does not fit it.
    """
    if items is None:
        raise InputError("where needs the columns of items, but the events have no table of items")
    mask = _mask(items, where)
    vocabulary = preparation.vocabularies["item"]
    kept = np.zeros(len(vocabulary), bool)
    rows = vocabulary.rows(items["item"])
    kept[rows[::-1]] = mask[::-1]
    kept[0] = False
    return np.flatnonzero(kept)


def _mask(items: pd.DataFrame, where: str | pd.Series | np.ndarray) -> np.ndarray:
    """(n,) bool, one a row of the table."""
    found = where
    if isinstance(where, str):
        try:
            found = items.eval(where, engine="python")
        except Exception as error:  # pandas raises whatever the expression does
            why = str(error).partition("\n")[0] or type(error).__name__
            columns = ", ".join(map(str, items.columns))
            raise InputError(f"where is {where!r}: {why}; the columns of items are {columns}") from error
    elif isinstance(where, pd.Series) and not where.index.equals(items.index):
        raise InputError("where should have the index of events.items; make it of a column of events.items")
    values = found if isinstance(found, pd.Series) else pd.Series(np.atleast_1d(np.asarray(found)))
    if not pd.api.types.is_bool_dtype(values.dtype) or len(values) != len(items):
        raise InputError(
            f"where should give {len(items)} booleans, one a row of events.items; received {len(values)} of "
            f"type {values.dtype}"
        )
    return values.fillna(False).to_numpy(bool)
