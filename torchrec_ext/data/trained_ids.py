"""TrainedIds: the users and items that training has learnt from, among all that have a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from torchrec_ext.data.events import Events
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.schema import Entity

_FILE = "trained.safetensors"


@dataclass(frozen=True, eq=False)
class TrainedIds:
    """Which rows of the user and of the item table, (R,) bool each, training has learnt from.

    An id that occurs only after training has a row too, for its side features, but nothing trained the
    vector in it: models read the unknown row in its place, and its item is not in the catalogue, unless
    it offers all items (``catalogue="all"``), one without a learnt event as the unknown item with features.

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
        """Those with an event of the (N,) bool ``training`` to learn from, not only to read as history."""
        learnt = training & events.is_target()
        masks = {entity: np.zeros(len(vocabularies[entity]), bool) for entity in ("user", "item")}
        for entity, mask in masks.items():
            if entity in events.columns:
                ids = events.distinct(entity)[events.occurring(entity, learnt)]
                mask[vocabularies[entity].rows(ids)] = True
            mask[0] = False  # that of every unknown id
        return cls(masks["user"], masks["item"], events.catalogue == "all")

    @cached_property
    def catalogue(self) -> np.ndarray:
        """(I,) int64 ascending rows of the items that may be recommended."""
        return np.arange(1, len(self.items)) if self.offers_all else np.flatnonzero(self.items)

    def known(self, entity: Entity, rows: np.ndarray) -> np.ndarray:
        """(n,) bool, which of (n,) rows training has learnt from."""
        return (self.users if entity == "user" else self.items)[rows]

    def or_unknown(self, table: str, rows: np.ndarray) -> np.ndarray:
        """(n,) rows of a table; of users and items 0, the unknown row, for those not learnt from."""
        if self._complete.get(table, True):
            return rows
        return np.where((self.users if table == "user" else self.items)[rows], rows, 0)

    def among(self, users: np.ndarray, items: np.ndarray | None = None) -> "TrainedIds":
        """Those that are also among (n,) rows of users and (m,) rows of items; None for every item."""
        kept = []
        for trained, rows in ((self.users, users), (self.items, slice(None) if items is None else items)):
            there = np.zeros_like(trained)
            there[rows] = True
            kept.append(trained & there)
        same = all(map(np.array_equal, kept, (self.users, self.items)))
        return self if same else TrainedIds(kept[0], kept[1], self.offers_all)

    def or_in(self, earlier: "TrainedIds") -> "TrainedIds":
        """Those of both; rows of the earlier ones stand for the same ids, and there may be fewer."""
        users, items = self.users.copy(), self.items.copy()
        users[: len(earlier.users)] |= earlier.users
        items[: len(earlier.items)] |= earlier.items
        return TrainedIds(users, items, self.offers_all or earlier.offers_all)

    def save(self, folder: Path) -> None:
        """Writes ``trained.safetensors``."""
        arrays = {"user": self.users, "item": self.items, "offers_all": np.array([self.offers_all])}
        (folder / _FILE).write_bytes(save(arrays))  # save_file lets only the owner read the file

    @classmethod
    def load(cls, folder: Path) -> "TrainedIds":
        """Reads what :meth:`save` wrote, or what earlier releases did: two arrays, later three."""
        if (folder / _FILE).is_file():
            found = load_file(folder / _FILE)
            return cls(found["user"], found["item"], bool(found["offers_all"][0]))
        users, items = (np.load(folder / f"trained_{e}.npy", allow_pickle=False) for e in ("user", "item"))
        offers_all = folder / "offers_all.npy"
        return cls(users, items, offers_all.is_file() and bool(np.load(offers_all, allow_pickle=False)))

    @cached_property
    def _complete(self) -> dict[str, bool]:
        return {"user": bool(self.users[1:].all()), "item": bool(self.items[1:].all())}
