"""ItemFilters: which items have the values that a request asks for."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.data.columns import column_of
from torchrec_ext.data.filters.where import Wanted, fits
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError, nearest

_MOST = 256
"""Filters whose items are kept."""


class ItemFilters:
    """The columns of the items of a bundle.

    Args:
        items: the table with a column ``item``; None where there is none.
        vocabulary: of the items.
    """

    def __init__(self, items: pd.DataFrame | None, vocabulary: Vocabulary) -> None:
        self.items, self._size = items, len(vocabulary)
        self._rows = np.zeros(0, np.int64) if items is None else vocabulary.rows(items["item"])
        self._found: dict[str, np.ndarray] = {}

    def rows(self, filters: Mapping[str, Any]) -> np.ndarray:
        """(n,) int64 ascending rows of the items that fulfil every filter.

        Args:
            filters: see :class:`~torchrec_ext.serving.ListRequest`.

        Raises:
            InputError: if there is no such column, or a filter does not fit it.
        """
        kept = np.ones(self._size, bool)
        for name, wanted in filters.items():
            kept &= self._kept(name, wanted)
        kept[0] = False
        return np.flatnonzero(kept)

    @property
    def columns(self) -> list[str]:
        """The names of the columns besides the id."""
        return [] if self.items is None else [str(column) for column in self.items if column != "item"]

    def column(self, name: str, field: str = "at_most") -> pd.Series:
        """A column with the rows of the items as its index; of two values of an item the first counts.

        Raises:
            InputError: if there is none; ``field`` is that of the request.
        """
        there = self.columns
        if self.items is None or name not in there:
            raise InputError(
                f"{field}: no column {name!r} of the items{nearest(name, there)}; there are "
                f"{', '.join(there) or 'none'}"
            )
        found = self.items[name].set_axis(self._rows)
        return found[~found.index.duplicated()]  # all items without an event have row 0

    def _kept(self, name: str, wanted: Any) -> np.ndarray:
        key = json.dumps([name, wanted], default=str)
        if key not in self._found:
            column = self.column(name, "filters")
            kept, where = np.zeros(self._size, bool), _wanted(name, wanted)
            try:
                fitting = fits(column_of(column.reset_index(drop=True)), name, where)
            except InputError as error:
                raise InputError(f"filters: {str(error).removeprefix('where ')}") from None
            kept[column.index.to_numpy()[fitting]] = True
            if len(self._found) >= _MOST:
                self._found.clear()
            self._found[key] = kept
        return self._found[key]


def _wanted(name: str, wanted: Any) -> Wanted:
    if isinstance(wanted, list):
        return wanted
    if isinstance(wanted, Mapping) and wanted and wanted.keys() <= {"min", "max"}:
        return wanted.get("min"), wanted.get("max")
    raise InputError(
        f"filters: {name!r} should be a list of allowed values or bounds such as {{'min': 3, 'max': 5}}, "
        f"received {wanted!r}"
    )
