"""Items of the catalogue, found by the user's own ids."""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.data.preparation import Preparation
from torchrec_ext.distributed.process_group import world
from torchrec_ext.errors import InputError


def find_items(preparation: Preparation, ids: Any, argument: str) -> np.ndarray:
    """Rows of items; warns of ids that are not in the catalogue.

    Args:
        preparation: how ids become rows.
        ids: n ids of items.
        argument: where the user gave them, for the messages.

    Returns:
        (n,) int64 rows; 0 for an item that is not in the catalogue.

    Raises:
        InputError: if none of the ids is in the catalogue, or ``ids`` is one id instead of several.
    """
    wanted = id_series(ids, argument)
    rows = preparation.vocabularies["item"].rows(wanted)
    unknown = ~np.isin(rows, preparation.trained.catalogue)
    count = int(unknown.sum())
    if not count:
        return rows
    example = wanted[unknown].tolist()[0]
    if count == len(rows):
        raise InputError(f"none of the item ids in {argument} is known; {_difference(preparation, example)}")
    if world()[0] == 0:
        warnings.warn(
            f"unknown item ids in {argument}: {count:,} of {len(rows):,}, such as {example!r}; they are left "
            "out",
            stacklevel=2,
        )
    return np.where(unknown, 0, rows)


def expect_kind_of_items(preparation: Preparation, ids: pd.Series, argument: str) -> None:
    """Refuses ids that are all unknown because they are strings where items are integers, or vice versa.

    Raises:
        InputError: with an id of each kind.
    """
    items = preparation.vocabularies["item"]
    if not len(ids) or (items.rows(ids) > 0).any():
        return
    example = ids.tolist()[0]
    if isinstance(example, str) == items.integers:
        raise InputError(f"none of the item ids in {argument} is known; {_difference(preparation, example)}")


def id_series(ids: Any, argument: str) -> pd.Series:
    """Several ids as a series that counts from 0.

    Raises:
        InputError: if it is one id.
    """
    if pd.api.types.is_scalar(ids):
        raise InputError(f"{argument} should be a list of ids, received {ids!r}; put it in a list")
    values = ids if hasattr(ids, "dtype") else list(ids)
    return pd.Series(values, dtype=None if len(values) else object).reset_index(drop=True)


def _difference(preparation: Preparation, example: object) -> str:
    """An unknown id beside a known one."""
    items = preparation.vocabularies["item"]
    known = items.ids(preparation.trained.catalogue[:1]).tolist()[0]
    kinds = ("integers", "strings") if items.integers else ("strings", "integers")
    if isinstance(example, str) == items.integers:
        return (
            f"they are {kinds[1]}, such as {example!r}, but the catalogue has {kinds[0]}, such as {known!r}; "
            "convert them with astype"
        )
    return f"the model has not learnt from {example!r}; the ids that it knows look like {known!r}"
