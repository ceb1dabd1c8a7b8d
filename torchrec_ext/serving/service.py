"""Service: lists for users, from a bundle and the events that arrive; without HTTP."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torchrec_ext import contracts
from torchrec_ext.errors import InputError
from torchrec_ext.serving.add_items import add_items
from torchrec_ext.serving.bundle import Bundle, open_bundle
from torchrec_ext.serving.event_store import EventStore, StoreError
from torchrec_ext.serving.explain import Explanation, explain
from torchrec_ext.serving.list_request import ItemList, ListRequest
from torchrec_ext.serving.live_model import LiveModel
from torchrec_ext.serving.new_item import NewItem, added_items
from torchrec_ext.serving.served_event import EXPOSURE, Id, ServedEvent
from torchrec_ext.serving.stages import Stages

log = logging.getLogger(__name__)


class Service:
    """Recommends with a bundle, and knows each event as soon as it is stored; any thread may call it.

    Args:
        bundle: the folder of a bundle, or an open one.
        store: the log that events are stored in.
        name: of an open bundle, in answers; that of a folder is the folder's.
        index: an empty one to fill with the item vectors; None for that of the bundle, or an exact one.
        ranker: a second bundle, which ranks the candidates of the first; None for none.
        retrieve: how many candidates are ranked, explored, and re-ranked where a request asks for it.
        epsilon: how often a list holds candidates of the first stage by chance (epsilon-greedy).
        log_exposures: stores what users are shown, at which place and with which probability, as events of
            the type ``exposure``.
        seed: of exploration.

    Example:
        >>> import tempfile, pandas as pd, torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdae")})
        >>> train, valid, _ = tx.data.leave_last_out(events := tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=4, encoder="gru")
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> folder = Path(tempfile.mkdtemp())
        >>> bundle = tx.serving.export(trained, folder / "bundle", events=events)
        >>> with tx.serving.SqliteEventStore(folder / "events.sqlite") as store:
        ...     service = Service(bundle, store)
        ...     before = service.recommend(ListRequest(user="new"))
        ...     positions = service.add_events([ServedEvent("new", "a", 1.7e9)])
        ...     after = service.recommend(ListRequest(user="new"))
        >>> before.source, after.source, "a" in after.items
        ('popular', 'model', False)
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        store: EventStore,
        *,
        name: str = "bundle",
        index: contracts.Index | None = None,
        ranker: str | Path | Bundle | None = None,
        retrieve: int = 500,
        epsilon: float = 0.0,
        log_exposures: bool = False,
        seed: int = 0,
    ) -> None:
        self.store, self.log_exposures, self._explore = store, log_exposures, (epsilon, seed)
        self._lock = threading.RLock()
        self._changing = threading.Lock()  # of what answers: one change begins where the other ended
        self._stages = self._opened(bundle, name, index, ranker, retrieve)

    @property
    def bundle(self) -> str:
        """The name of the bundle that answers now."""
        return self._stages.first.name

    @property
    def live(self) -> LiveModel:
        """The first model that answers now, with its index and users; to read what does not change."""
        return self._stages.first

    def recommend(self, request: ListRequest) -> ItemList:
        """The best items for a request.

        Raises:
            InputError: for a field of the request that does not make sense, by its name.
        """
        found = self.recommend_many([request])[0]
        if isinstance(found, InputError):
            raise found
        return found

    def recommend_many(self, requests: Sequence[ListRequest]) -> list[ItemList | InputError]:
        """The lists of several requests, computed together, or what is wrong with each."""
        with self._lock:
            found = self._stages.lists(requests)
        if self.log_exposures:
            self._expose(requests, found)
        return found

    def _expose(self, requests: Sequence[ListRequest], found: Sequence[ItemList | InputError]) -> None:
        """Logs what users are shown; a log that cannot be written now costs nobody a list."""
        shown = [
            ServedEvent(
                self._stages.first.user(request.user), None, time.time(), EXPOSURE,
                {"items": a.items, "probabilities": a.probabilities, "source": a.source, "bundle": a.bundle},
            )
            for request, a in zip(requests, found, strict=True)
            if request.user is not None and isinstance(a, ItemList)
        ]  # fmt: skip
        try:
            self.store.append(shown)
        except StoreError as error:
            log.warning("%s exposures are not logged: %s", len(shown), error)

    def add_events(self, events: Sequence[ServedEvent]) -> list[int]:
        """Stores events; the next list of their users knows them, from each service over the store.

        Returns:
            The position of each in the log, once all are durable.

        Raises:
            InputError: if one is not an event.
            StoreError: if they cannot be stored now.
        """
        live, own = self._stages.first, []
        for event in events:
            item = None if event.item is None else live.item(event.item)
            own.append(replace(event, user=live.user(event.user), item=item))
        return self.store.append(own)

    def add_items(self, items: Sequence[NewItem]) -> list[int]:
        """Lists know these items from now on, by their side features; requests go on meanwhile without them.

        The columns of a known item are replaced. Until a new bundle has learnt from events of a new item, the
        model reads its side features alone, and its events in histories as those of an unknown item.

        Returns:
            The position of each in the log, once all are durable.

        Raises:
            InputError: if a model reads no side features of items, or an id or a column does not fit.
            StoreError: if they cannot be stored now; lists do not know them then.
        """
        if not items:
            return []
        with self._changing:
            entries = [item.entry(self._stages.first.item(item.item)) for item in items]
            stages = self._stages.with_items(entries)
            positions = self.store.append(entries)
            with self._lock:
                self._stages = stages
        return positions

    def explain(self, request: ListRequest, item: Id) -> Explanation:
        """Which events of the history and which features raise the score of an item of the catalogue.

        Raises:
            InputError: if the item is not in the catalogue, or for a field of the request.
        """
        with self._lock:
            live = self._stages.first
            own = self._stages.model_request(request)
            return explain(live, own.history, live.item_row(item), own.context)

    def similar(self, item: Id, k: int = 10) -> ItemList:
        """The nearest other items of an item, by the cosine of their vectors.

        Raises:
            InputError: if the item is not in the catalogue, k is below 1, or the model is a ranker.
        """
        if k < 1:
            raise InputError(f"k should be at least 1, received {k!r}")
        with self._lock:
            live = self._stages.first
            rows, scores = live.similar(live.item_row(item), k)
            ids = live.preparation.vocabularies["item"].ids(rows).tolist()
        return ItemList(ids, scores.tolist(), "model", live.name)

    def history(self, user: Id) -> list[tuple[Id | None, float]]:
        """Item and time of the newest events of a user that the model reads, oldest first.

        The item is None where the model does not know it.
        """
        with self._lock:
            live = self._stages.first
            return live.items_and_times(live.users.of(live.user(user)))

    def swap(
        self,
        bundle: str | Path | Bundle,
        *,
        name: str = "bundle",
        index: contracts.Index | None = None,
        ranker: str | Path | Bundle | None = None,
        retrieve: int = 500,
    ) -> None:
        """Answers with other bundles from now on; requests go on meanwhile with those before.

        Args:
            bundle: as of the constructor, like the others.
            name: of an open bundle.
            index: an empty one.
            ranker: a second bundle.
            retrieve: how many candidates are ranked.
        """
        with self._changing:
            stages = self._opened(bundle, name, index, ranker, retrieve)
            with self._lock:
                self._stages = stages

    def _opened(
        self,
        bundle: str | Path | Bundle,
        name: str,
        index: contracts.Index | None,
        ranker: str | Path | Bundle | None,
        retrieve: int,
    ) -> Stages:
        def live(given: str | Path | Bundle, own: contracts.Index | None) -> LiveModel:
            if isinstance(given, Bundle):
                return self._with_added(LiveModel(given, self.store, name, own))
            return self._with_added(LiveModel(open_bundle(given), self.store, Path(given).name, own))

        second = None if ranker is None else live(ranker, None)
        return Stages(live(bundle, index), second, retrieve, *self._explore)

    def _with_added(self, live: LiveModel) -> LiveModel:
        """A model with the items of the log that its bundle does not know, or knows by earlier columns."""
        logged, position = added_items(self.store), int(live.bundle.manifest.get("position", 0))
        if not logged:
            return live
        there = {*live.preparation.vocabularies["item"].ids(live.catalogue).tolist()}
        entries = [entry for at, entry in logged if at > position or entry.item not in there]
        try:
            return add_items(live, entries, strict=False) if entries else live
        except InputError as error:
            log.warning("%s added items are not in lists of %s: %s", len(entries), live.name, error)
            return live
