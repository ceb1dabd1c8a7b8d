"""LiveLists: what the routes need of a service, with the titles of the items."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from torchrec_ext.errors import InputError
from torchrec_ext.serving.explain import Explanation
from torchrec_ext.serving.http.errors import NotFoundError
from torchrec_ext.serving.http.titles import Titles
from torchrec_ext.serving.list_request import ItemList, ListRequest
from torchrec_ext.serving.new_item import NewItem
from torchrec_ext.serving.served_event import Id, ServedEvent
from torchrec_ext.serving.service import Service

Titled = tuple[ItemList, list[str | None]]
History = list[tuple[Id | None, float, str | None]]
"""Item, time and title of events."""


class LiveLists:
    """A service whose items have titles; its methods take their time, so a thread calls them.

    Args:
        service: answers.
        bundles: folder of the bundles that may replace its own; None for none.
        swap: makes the service answer with the bundle of a folder; None for :meth:`Service.swap`.
    """

    def __init__(
        self,
        service: Service,
        bundles: Path | None = None,
        swap: Callable[[Path], None] | None = None,
    ) -> None:
        self.service, self.bundles, self._swap = service, bundles, swap or service.swap
        self._titles = Titles(service.live)

    def recommend_many(self, requests: Sequence[ListRequest]) -> list[Titled | Exception]:
        """The lists of several requests, or what is wrong with each."""
        return [
            found if isinstance(found, Exception) else self._titled(found)
            for found in self.service.recommend_many(requests)
        ]

    def add_many(self, requests: Sequence[Sequence[ServedEvent]]) -> list[list[int]]:
        """Stores the events of several requests at once; the positions of each."""
        positions = iter(self.service.add_events([event for events in requests for event in events]))
        return [[next(positions) for _ in events] for events in requests]

    def add_items_many(self, requests: Sequence[Sequence[NewItem]]) -> list[list[int]]:
        """Adds the items of several requests at once; the positions of each."""
        positions = iter(self.service.add_items([item for items in requests for item in items]))
        return [[next(positions) for _ in items] for items in requests]

    def similar(self, item: Id, k: int) -> Titled:
        """The nearest other items of an item; NotFoundError if it is not known."""
        if not len(self.service.live.item_rows([item])):
            raise NotFoundError(f"item: {str(item)[:80]!r} is not known")
        return self._titled(self.service.similar(item, k))

    def history(self, user: Id) -> tuple[Id, History]:
        """The user's id as in the data; item, time and title of the newest events, the newest first."""
        return self.service.live.user(user), self._with_titles(self.service.history(user)[::-1])

    def explain(self, request: ListRequest, item: Id) -> tuple[Explanation, History, str]:
        """What the score of an item owes to each event and feature, the events, the newest last, and why."""
        found = self.service.explain(request, item)
        events = self._with_titles(found.history)
        title = self.titles.of([self.service.live.item(item)])[0] or str(item)
        return found, events, found.because([title for _, _, title in events], title)

    def some_users(self, count: int) -> list[Id]:
        """Users of the bundle, evenly spread over them."""
        log = self.service.live.users.log
        ids = [] if log is None else log.user_ids
        return [ids[int(i)] for i in np.unique(np.linspace(0, len(ids) - 1, count).astype(int)) if len(ids)]

    def swap(self, name: str) -> str:
        """Answers with another bundle from now on; its name.

        Raises:
            InputError: in which no folder is named, if that is not a whole bundle beside the first.
        """
        if self.bundles is None or Path(name).name != name or name.startswith("."):
            raise InputError("bundle: name a folder beside the first bundle, without a path")
        folder = self.bundles / name
        try:
            self._swap(folder)
        except (InputError, OSError, ValueError, KeyError) as error:
            reason = str(error) if isinstance(error, InputError) else type(error).__name__
            reason = reason.replace(f"{self.bundles}/", "").replace(f"{self.bundles}", "")
            raise InputError(f"bundle: it cannot be opened: {reason}") from None
        return name

    def _with_titles(self, events: Sequence[tuple[Id | None, float]]) -> History:
        titles = self.titles.of([item for item, _ in events])
        return [(item, at, title) for (item, at), title in zip(events, titles, strict=True)]

    @property
    def titles(self) -> Titles:
        """Those of the bundle that answers now."""
        if self._titles.live is not self.service.live:
            self._titles = Titles(self.service.live)
        return self._titles

    def _titled(self, found: ItemList) -> Titled:
        return found, self.titles.of(found.items)
