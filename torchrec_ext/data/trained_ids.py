"""TrainedIds: the users and items that training has learnt from, among all that have a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from torchrec_ext.data.events import Events
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.schema import Entity

_ENTITIES: tuple[Entity, ...] = ("user", "item")


@dataclass(frozen=True, eq=False)
class TrainedIds:
    """Which rows of the user and of the item table training has learnt from.

    An id that occurs only after training has a row too, for its side features, but nothing trained the
    vector in it: models read the unknown row in its place, and its item is not in the catalogue.

    Args:
        users: (R,) bool, a value for each row of users; that of row 0 is false.
        items: (R,) bool, a value for each row of items; that of row 0 is false.
        offers_all: whether every item that has a row may be recommended, also one without a learnt event,
            which is the unknown item with features of its own (``catalogue="all"``).

    Example:
        >>> trained = TrainedIds(np.array([False, True]), np.array([False, True, False, True]))
        >>> trained.catalogue, trained.or_unknown("item", np.array([3, 2, 1]))
        (array([1, 3]), array([3, 0, 1]))
    """

    users: np.ndarray
    items: np.ndarray
    offers_all: bool = False

    @classmethod
    def of(cls, events: Events, training: np.ndarray, vocabularies: Mapping[str, Vocabulary]) -> "TrainedIds":
        """Users and items with an event of training to learn from: not one that is only read as history.

        Args:
            events: N events.
            training: (N,) bool, those of the training part.
            vocabularies: those of users and items.
        """
        weights = events.target_weights()
        learnt = training if weights is None else training & (weights > 0)
        found = {}
        for entity in _ENTITIES:
            there = np.zeros(len(vocabularies[entity]), bool)
            if entity in events.table.column_names:
                occurring = np.zeros(len(events.distinct(entity)) + 1, bool)  # the last: events without one
                occurring[events.codes(entity)[learnt]] = True
                there[vocabularies[entity].rows(events.distinct(entity)[occurring[:-1]])] = True
            there[0] = False
            found[entity] = there
        return cls(found["user"], found["item"], events.catalogue == "all")

    @cached_property
    def catalogue(self) -> np.ndarray:
        """(I,) int64 ascending rows of the items that may be recommended."""
        return np.arange(1, len(self.items)) if self.offers_all else np.flatnonzero(self.items)

    def known(self, entity: Entity, rows: np.ndarray) -> np.ndarray:
        """(n,) bool, which of (n,) rows training has learnt from."""
        return self._of(entity)[rows]

    def or_unknown(self, entity: Entity, rows: np.ndarray) -> np.ndarray:
        """(n,) rows with 0, the unknown row, in place of those that training has not learnt from."""
        return rows if self._complete[entity] else np.where(self.known(entity, rows), rows, 0)

    def among(self, users: np.ndarray, items: np.ndarray | None = None) -> "TrainedIds":
        """Those that are also among the given ones.

        Args:
            users: (n,) rows.
            items: (m,) rows; None for every item.
        """
        kept = _among(self.users, users), self.items if items is None else _among(self.items, items)
        same = all(map(np.array_equal, kept, (self.users, self.items)))
        return self if same else TrainedIds(*kept, self.offers_all)

    def save(self, folder: Path) -> None:
        """Writes three arrays."""
        for entity in _ENTITIES:
            np.save(folder / f"trained_{entity}.npy", self._of(entity))
        np.save(folder / "offers_all.npy", np.array(self.offers_all))

    @classmethod
    def load(cls, folder: Path, vocabularies: Mapping[str, Vocabulary]) -> "TrainedIds":
        """Reads what :meth:`save` wrote; an earlier release wrote nothing, so that every id counts."""
        found = {}
        for entity in _ENTITIES:
            path = folder / f"trained_{entity}.npy"
            found[entity] = np.load(path) if path.is_file() else np.arange(len(vocabularies[entity])) > 0
        path = folder / "offers_all.npy"
        return cls(found["user"], found["item"], path.is_file() and bool(np.load(path)))

    def _of(self, entity: Entity) -> np.ndarray:
        return self.users if entity == "user" else self.items

    @cached_property
    def _complete(self) -> dict[str, bool]:
        return {entity: bool(self._of(entity)[1:].all()) for entity in _ENTITIES}


def _among(trained: np.ndarray, rows: np.ndarray) -> np.ndarray:
    there = np.zeros_like(trained)
    there[rows] = True
    return trained & there
