"""Titles: what the items of a bundle are called."""

from collections.abc import Sequence

import pandas as pd

from torchrec_ext.serving.live_model import LiveModel
from torchrec_ext.serving.served_event import Id


class Titles:
    """The column ``title`` of the items of a bundle.

    Args:
        live: the bundle; without such a column its items have no titles.
    """

    def __init__(self, live: LiveModel) -> None:
        self.live = live
        events = live.bundle.events
        items = None if events is None else events.items
        there = items is not None and "title" in items
        self._titles = items["title"].to_numpy(object) if items is not None and there else None
        self._ids = pd.Index(items["item"]) if items is not None and there else pd.Index([])

    def of(self, items: Sequence[Id | None]) -> list[str | None]:
        """The title of each item; None of one without."""
        if self._titles is None:
            return [None] * len(items)
        places = self._ids.get_indexer(pd.Index(items, dtype=object)).tolist()
        found = [self._titles[place] if place >= 0 else None for place in places]
        return [title if isinstance(title, str) else None for title in found]
