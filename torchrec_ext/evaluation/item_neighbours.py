"""ItemNeighbours: the items that most users of an item have events with too."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from torchrec_ext.checks import expect_at_least, expect_whole
from torchrec_ext.data.slices import offsets_of, slice_positions

_BLOCK = 2**22
"""Pairs of items that are counted at a time, 8 bytes each."""


@dataclass(frozen=True, eq=False)
class ItemNeighbours:
    """Item rows that are nearest to each of I item rows, itself the first of them.

    Args:
        offsets: (I + 1,) int64; the neighbours of item i are ``[offsets[i], offsets[i + 1])``.
        items: (n,) int64 rows of the neighbours, ascending for each item.
        similarities: (n,) float64.

    Example:
        >>> users, items = np.array([0, 0, 1, 1, 2]), np.array([1, 2, 1, 2, 2])
        >>> near = ItemNeighbours.of(users, items, 3)  # item 1 has 2 users, item 2 has 3, and 2 have both
        >>> near.items, near.similarities.round(3)
        (array([1, 2, 1, 2]), array([1.   , 0.816, 0.816, 1.   ]))
    """

    offsets: np.ndarray
    items: np.ndarray
    similarities: np.ndarray

    @classmethod
    def of(
        cls, users: np.ndarray, items: np.ndarray, count: int, neighbours: int = 100, shrink: float = 0.0
    ) -> "ItemNeighbours":
        """Compares the items by the cosine of their columns in the matrix of users and items, of 0 and 1.

        It takes the time of ``sum(n ** 2)`` over users of n items, and the memory of a few of them.

        Args:
            users: (N,) int users of the events, from 0.
            items: (N,) int item rows below ``count``; repeated events of a pair count once.
            count: I, number of item rows.
            neighbours: most similar items that are kept of each, besides itself; the lower row wins a tie.
            shrink: added to the denominator, ``both / (sqrt(n * m) + shrink)`` for items of n and m users
                of whom ``both`` have an event with either: it draws items of few users towards 0.

        Raises:
            InputError: if ``neighbours`` is not a whole number of at least 1, or ``shrink`` is below 0.

        Source:
            "Item-based Collaborative Filtering Recommendation Algorithms" (Sarwar et al. 2001, section
            3.1.1); "Item-Based Top-N Recommendation Algorithms" (Deshpande, Karypis 2004, section 4).
        """
        expect_whole(1, neighbours=neighbours)
        expect_at_least(0, shrink=shrink)
        pairs = np.unique(users.astype(np.int64) * count + items)
        users, items = np.divmod(pairs, count)
        of_user = np.searchsorted(users, np.arange(users.max(initial=-1) + 2))
        sizes = np.bincount(items, minlength=count)
        of_item = offsets_of(sizes)
        users = users[np.argsort(items, kind="stable")]
        work = offsets_of(np.diff(of_user)[users])[of_item]
        keys, found, start = [], [], 0
        while start < count:
            furthest = min(start + max(1, _BLOCK // count), count)
            stop = max(start + 1, min(furthest, int(np.searchsorted(work, work[start] + _BLOCK))))
            mine = users[of_item[start] : of_item[stop]]
            others = items[slice_positions(of_user[mine], of_user[mine + 1])]
            owners = np.repeat(np.arange(stop - start), np.diff(work[start : stop + 1]))
            both = np.bincount(owners * count + others, minlength=(stop - start) * count)
            cells = np.flatnonzero(both)
            rows, columns = cells // count + start, cells % count
            similarity = both[cells] / (np.sqrt(sizes[rows] * sizes[columns]) + shrink)
            order = np.lexsort((columns, -similarity, rows != columns, rows))
            place = np.arange(len(order)) - np.searchsorted(rows, rows)  # cells are in the order of rows
            kept = np.sort(order[place <= neighbours])
            keys.append(rows[kept] * count + columns[kept])
            found.append(similarity[kept])
            start = stop
        key = np.concatenate(keys)
        return cls(np.searchsorted(key, np.arange(count + 1) * count), key % count, np.concatenate(found))

    def scores(
        self, items: np.ndarray, owners: np.ndarray, count: int, places: np.ndarray, width: int
    ) -> np.ndarray:
        """Sums the similarities of candidates to the known items of users.

        Args:
            items: (N,) int known items of ``count`` users, each item of a user once.
            owners: (N,) int which user each is of.
            count: B, number of users.
            places: (I,) int64 column of each item row among the candidates, -1 for one that is not.
            width: C, number of candidates.

        Returns:
            (B, C) float64.

        Example:
            >>> near = ItemNeighbours.of(np.array([0, 0, 1, 1, 2]), np.array([1, 2, 1, 2, 2]), 3)
            >>> near.scores(np.array([1, 2]), np.array([0, 0]), 1, np.array([-1, -1, 0]), 1).round(3)
            array([[1.816]])
        """
        starts, ends = self.offsets[items], self.offsets[items + 1]
        chosen = slice_positions(starts, ends)
        columns, rows = places[self.items[chosen]], np.repeat(owners, ends - starts)
        there = columns >= 0
        cells = rows[there] * width + columns[there]
        sums = np.bincount(cells, self.similarities[chosen[there]], count * width)
        return sums.reshape(count, width)

    def between(self, items: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(n,) float64 similarity of each of (n,) rows ``others`` to an item; 0 if it is not a neighbour."""
        wanted = items.astype(np.int64) * (len(self.offsets) - 1) + others
        places = np.searchsorted(self._keys[:-1], wanted)
        return np.where(self._keys[places] == wanted, np.append(self.similarities, 0)[places], 0)

    @cached_property
    def owners(self) -> np.ndarray:
        """(n,) int64 item row that each neighbour is of."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @cached_property
    def _keys(self) -> np.ndarray:
        """(n + 1,) ascending number of each pair of an item and its neighbour, and -1, which no pair has."""
        return np.append(self.owners * (len(self.offsets) - 1) + self.items, -1)
