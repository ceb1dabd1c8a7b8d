"""Segments: groups of users whose figures are told apart."""

import numpy as np
import pandas as pd

from torchrec_ext.errors import InputError
from torchrec_ext.reporting.evaluated_run import EvaluatedRun

HISTORY, POPULARITY, ANSWERED = "history length", "popularity of targets", "list made by"
"""Segments of every report; the last, of retrievers: users without known events get popular items."""
_MOST = 10
"""Values of a column that have a segment of their own; the others share one."""


def segment_of_users(run: EvaluatedRun, by: str) -> pd.Categorical:
    """The segment of each of U users.

    Args:
        run: whose users are divided.
        by: one of the names above, or a column of ``per_user.parquet`` such as ``user_gender``. Numbers of
            more than ten values are cut into four segments of about as many users.

    Raises:
        InputError: for a column that is not there.
    """
    if by == HISTORY:
        return quarters(run.column("known"))
    if by == POPULARITY:
        owners, rows = run.places("targets")
        events = run.values.items["events"].to_numpy()[rows]
        users = run.values.users.num_rows
        with np.errstate(invalid="ignore"):
            means = np.bincount(owners, events, users) / np.bincount(owners, minlength=users)
        return quarters(means).rename_categories(lambda name: name.replace("unknown", "not in catalogue"))
    column = "answered_by" if by == ANSWERED else by
    table = run.values.users
    if column not in table.column_names or pd.api.types.is_list_like(table[column][0].as_py()):
        there = [name for name in table.column_names if name.startswith("user_")]
        raise InputError(
            f"no column {by!r} of users to divide them by; there are {', '.join(there) or 'none'}"
        )
    values = table[column].to_pandas()
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > _MOST:
        return quarters(values.to_numpy(np.float64))
    words = values.astype("string").fillna("unknown")
    most = words.value_counts().index[:_MOST]
    return pd.Categorical(words.where(words.isin(most), "others"))


def quarters(values: np.ndarray) -> pd.Categorical:
    """Four segments of about as many users, named by their least and largest value; fewer where values tie.

    Example:
        >>> quarters(np.array([1, 1, 2, 3, 5, 8, 13, np.nan])).tolist()
        ['1', '1', '2 to 3', '2 to 3', '5 to 8', '5 to 8', '13', 'unknown']
    """
    numbers = pd.Series(values, dtype=np.float64)
    known = numbers.dropna()
    edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75], method="inverted_cdf")) if len(known) else known
    groups = pd.Series(np.searchsorted(edges, known), known.index)
    ends = known.groupby(groups).agg(["min", "max"]).map("{:,.4g}".format).astype(object)
    names = ends["min"].where(ends["min"] == ends["max"], ends["min"] + " to " + ends["max"])
    found = groups.map(names).reindex(numbers.index).fillna("unknown")
    return pd.Categorical(found, [*names.unique(), "unknown"]).remove_unused_categories()
