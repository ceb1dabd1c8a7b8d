"""ItemChoice: which items may be recommended, to everybody and to each who asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.item_filter import rows_where
from torchrec_ext.retrieval.known_items import find_items, id_series
from torchrec_ext.retrieval.ragged import Ragged
from torchrec_ext.retrieval.requests import Requests

ItemSets: TypeAlias = Sequence | np.ndarray | pd.Series | pd.DataFrame | Mapping
"""Items for everybody (a list of ids), or for each (a frame of columns user and item, or user -> ids)."""

_LARGEST = 2**24
"""Item rows left out that are held at a time."""


@dataclass(frozen=True, eq=False)
class ItemChoice:
    """Item rows that n requests may get.

    Args:
        rows: (C,) int64 ascending, the rows that at least one request may get.
        not_offered: (m,) int64, the rows of a given index that no request may get.
        own: the rows that each request may get, of those in ``rows``; None for all of them.
        excluded: the rows that each request must not get; None for none.
    """

    rows: np.ndarray
    not_offered: np.ndarray
    own: Ragged | None
    excluded: Ragged | None

    def chunk(self, chunk: int) -> int:
        """How many requests to take at a time, at most ``chunk``: what they leave out must fit in memory."""
        width = len(self.not_offered) + (len(self.rows) if self.own is not None else 0)
        return max(1, min(chunk, _LARGEST // max(1, width)))

    def left_out(self, positions: np.ndarray, seen: Ragged | None) -> Ragged:
        """The rows that each of some requests must not get.

        Args:
            positions: (B,) int64 of the requests.
            seen: further rows of each of the B; None for none.

        Returns:
            B lists of int64 rows.
        """
        count = len(positions)
        if self.excluded is None and self.own is None and not len(self.not_offered):
            return Ragged(np.zeros(0, np.int64), np.zeros(count + 1, np.int64)) if seen is None else seen
        parts = [] if seen is None else [(seen.owners, seen.values)]
        if self.excluded is not None:
            found = self.excluded.take(positions)
            parts.append((found.owners, found.values))
        if len(self.not_offered):
            everybody = np.repeat(np.arange(count), len(self.not_offered))
            parts.append((everybody, np.tile(self.not_offered, count)))
        if self.own is not None:
            allowed = np.zeros((count, len(self.rows)), bool)
            found = self.own.take(positions)
            allowed[found.owners, np.searchsorted(self.rows, found.values)] = True
            others, places = np.nonzero(~allowed)
            parts.append((others, self.rows[places]))
        owners = np.concatenate([np.zeros(0, np.int64), *(o for o, _ in parts)])
        rows = np.concatenate([np.zeros(0, np.int64), *(r for _, r in parts)])
        return Ragged.of_owners(owners, rows, count)


def choose_items(
    preparation: Preparation,
    requests: Requests,
    offered: np.ndarray,
    *,
    indexed: bool = False,
    items: pd.DataFrame | None = None,
    candidates: ItemSets | None = None,
    exclude: ItemSets | None = None,
    where: str | pd.Series | np.ndarray | None = None,
) -> ItemChoice:
    """Brings together what a caller allows and what not.

    Args:
        preparation: how ids became rows.
        requests: who asks.
        offered: (I,) int64 ascending rows of the catalogue, or of a given index.
        indexed: whether they are those of a given index, from which nothing can be taken away.
        items: the table of items that ``where`` is about.
        candidates: see :func:`~torchrec_ext.retrieval.recommend`, as all that follows.
        exclude: items left out.
        where: a condition on the columns of ``items``.

    Raises:
        InputError: if an argument is of another form, or no item is left.
    """
    rows, own, excluded = offered, None, None
    if where is not None:
        rows = np.intersect1d(rows, rows_where(preparation, items, where))
    if candidates is not None:
        positions, ids = _pairs("candidates", candidates, requests)
        found = find_items(preparation, ids, "candidates")
        own_pairs = np.isin(found, rows)
        rows = np.unique(found[own_pairs])
        if positions is not None:
            own = _lists(positions[own_pairs], found[own_pairs], len(requests))
    if exclude is not None:
        positions, ids = _pairs("exclude", exclude, requests)
        found = preparation.vocabularies["item"].rows(ids)
        if positions is None:
            rows = np.setdiff1d(rows, found)
            own = None if own is None else _kept(own, rows)
        else:
            excluded = _lists(positions, found, len(requests))
    if not len(rows):
        given = {"where": where, "candidates": candidates, "exclude": exclude}
        named = " and ".join(name for name, value in given.items() if value is not None)
        raise InputError(f"none of the {len(offered):,} items is left after {named}; allow at least one")
    not_offered = np.setdiff1d(offered, rows) if indexed else np.zeros(0, np.int64)
    return ItemChoice(rows, not_offered, own, excluded)


def _pairs(argument: str, value: Any, requests: Requests) -> tuple[np.ndarray | None, pd.Series]:
    """Positions of the requests, or None for everybody, and ids of items."""
    entity = requests.entity
    if isinstance(value, Mapping):
        lists = [id_series(items, f"{argument}[{who!r}]") for who, items in value.items()]
        who = pd.Series(
            [w for w, items in zip(value, lists, strict=True) for _ in range(len(items))], dtype=object
        )
        ids = [item for items in lists for item in items]
        return requests.find(who), id_series(ids, argument)
    if isinstance(value, pd.DataFrame):
        for column in (entity, "item"):
            if column not in value:
                there = ", ".join(map(str, value.columns))
                raise InputError(f"{argument} lack the column {column!r}; they have {there}")
        return requests.find(value[entity]), value["item"].reset_index(drop=True)
    return None, id_series(value, argument)


def _lists(positions: np.ndarray, rows: np.ndarray, count: int) -> Ragged:
    """The rows of each request; a position of -1 does not ask."""
    asks = positions >= 0
    return Ragged.of_owners(positions[asks], rows[asks], count)


def _kept(own: Ragged, rows: np.ndarray) -> Ragged:
    """The lists without what is not among the rows."""
    kept = np.isin(own.values, rows)
    return Ragged.of_owners(own.owners[kept], own.values[kept], len(own.offsets) - 1)
