"""Stages: candidates from an index, ranked by another model, and re-ranked."""

import time
from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd

from torchrec_ext.checks import expect_at_least
from torchrec_ext.errors import InputError, nearest
from torchrec_ext.serving.add_items import add_items
from torchrec_ext.serving.explore import explore
from torchrec_ext.serving.list_request import ItemList, ListRequest
from torchrec_ext.serving.live_model import LiveModel
from torchrec_ext.serving.model_request import FoundItems, ModelRequest
from torchrec_ext.serving.rerank import rerank
from torchrec_ext.serving.served_event import ServedEvent
from torchrec_ext.serving.user_history import UserHistory

MOST_ITEMS = 1000
"""The longest list."""


class Stages:
    """The way from requests to lists. One thread may use it at a time.

    Args:
        first: finds the candidates.
        ranker: scores the candidates of the first model; None keeps their order.
        retrieve: how many candidates are ranked, re-ranked and explored.
        epsilon: how often a list holds candidates by chance.
        seed: of that chance.
    """

    def __init__(
        self,
        first: LiveModel,
        ranker: LiveModel | None = None,
        retrieve: int = 500,
        epsilon: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not 0 <= epsilon <= 1:
            raise InputError(f"epsilon should be from 0 to 1, received {epsilon!r}")
        expect_at_least(1, retrieve=retrieve)
        self.first, self.ranker, self.retrieve, self.epsilon = first, ranker, retrieve, epsilon
        self._rng = np.random.default_rng(seed)

    def with_items(self, entries: Sequence[ServedEvent]) -> "Stages":
        """The same stages with items added; an InputError if a model cannot know them by their columns."""
        found = copy(self)
        found.first = add_items(self.first, entries)
        tables = [self.first.filters]
        if self.ranker is not None:
            found.ranker = add_items(self.ranker, entries)
            tables.append(self.ranker.filters)
        there = list(dict.fromkeys(name for table in tables for name in table.columns))
        for place, entry in enumerate(entries):
            for name in entry.context:
                if name not in there:
                    raise InputError(
                        f"items[{place}].columns: there is no {name[:60]!r}{nearest(name, there)}; there are "
                        f"{', '.join(there)}"
                    )
        return found

    def lists(self, requests: Sequence[ListRequest]) -> list[ItemList | InputError]:
        """The lists of several requests, computed together, or what is wrong with each."""
        begin = time.perf_counter()
        read: list[ModelRequest | InputError] = []
        for request in requests:
            try:
                read.append(self.model_request(request))
            except InputError as error:
                read.append(error)
        good = [one for one in read if isinstance(one, ModelRequest)]
        milliseconds = 1000 * (time.perf_counter() - begin)
        found = iter(self.first.lists(good) if good else [])
        return [
            self._answer(request, next(found), milliseconds) if isinstance(one, ModelRequest) else one
            for request, one in zip(requests, read, strict=True)
        ]

    def model_request(self, request: ListRequest) -> ModelRequest:
        """What the first model is asked for; an InputError names a field that does not make sense."""
        live = self.first
        if (request.user is None) == (request.session is None):
            given = "neither" if request.user is None else "both"
            raise InputError(f"user: give either user or session, received {given}")
        whole = isinstance(request.k, int) and not isinstance(request.k, bool)
        if not whole or not 1 <= request.k <= MOST_ITEMS:
            raise InputError(f"k should be from 1 to {MOST_ITEMS}, received {request.k!r}")
        if not 0 <= request.diversity <= 1:
            raise InputError(f"diversity should be from 0 to 1, received {request.diversity!r}")
        if request.at_most is not None:
            self._kinds(request.at_most[0], np.zeros(0, np.int64))
        if request.context is not None:
            live.expect_context(request.context)
        if request.session is not None and not live.inputs.max_length:
            raise InputError("session: the model reads no history; give a user")
        history = _history(live, request)
        left_out = np.fromiter(history.seen if request.exclude_seen else (), np.int64)
        if request.exclude:
            left_out = np.union1d(left_out, live.item_rows(request.exclude))
        allowed = None
        if request.candidates is not None:
            allowed = np.unique(live.item_rows(request.candidates))
        if request.filters:
            rows = live.filters.rows(request.filters)
            allowed = rows if allowed is None else np.intersect1d(allowed, rows)
        further = self.ranker is not None or request.diversity > 0 or request.at_most is not None
        further = further or self.epsilon > 0
        k = max(request.k, self.retrieve) if further else request.k
        return ModelRequest(history, k, left_out, allowed, request.context)

    def _answer(self, request: ListRequest, found: FoundItems, read: float) -> ItemList:
        times = {"history": read, **found.milliseconds}
        if self.ranker is not None and found.source == "model" and len(found.rows):
            begin = time.perf_counter()
            found = self._ranked(self.ranker, request, found)
            times["rank"] = 1000 * (time.perf_counter() - begin)
        if request.diversity > 0 or request.at_most is not None:
            begin = time.perf_counter()
            found = self._reranked(request, found)
            times["rerank"] = 1000 * (time.perf_counter() - begin)
        shown, probabilities = explore(found.rows, request.k, self.epsilon, self._rng)
        ids = self.first.preparation.vocabularies["item"].ids(found.rows[shown]).tolist()
        scores = found.scores[shown].tolist()
        return ItemList(ids, scores, found.source, self.first.name, probabilities.tolist(), times)

    def _ranked(self, ranker: LiveModel, request: ListRequest, found: FoundItems) -> FoundItems:
        """The candidates in the order of the ranker, which may give its rows other ids."""
        of_first, of_ranker = (live.preparation.vocabularies["item"] for live in (self.first, ranker))
        rows = of_ranker.rows(of_first.ids(found.rows))
        known = rows > 0
        history = _history(ranker, request)
        context = request.context if ranker.reads_context else None
        own = ModelRequest(history, len(rows), np.zeros(0, np.int64), np.unique(rows[known]), context)
        ranked = ranker.lists([own])[0]
        if ranked.source != "model":
            return found
        back = of_first.rows(of_ranker.ids(ranked.rows))
        return FoundItems(back, ranked.scores, "model", {})

    def _reranked(self, request: ListRequest, found: FoundItems) -> FoundItems:
        vectors = None
        if request.diversity > 0:
            places = np.searchsorted(self.first.catalogue, found.rows)
            vectors = self.first.vectors[places].float().numpy()
        kinds, most = [], None
        if request.at_most is not None:
            column, most = request.at_most
            kinds = self._kinds(column, found.rows)
        k = request.k if self.epsilon == 0 else len(found.rows)
        taken = rerank(found.scores, k, diversity=request.diversity, vectors=vectors, most=most, kinds=kinds)
        return replace(found, rows=found.rows[taken], scores=found.scores[taken])

    def _kinds(self, column: str, rows: np.ndarray) -> list[list]:
        """The values that each of some items has in a column; InputError if there is no such column."""
        values = self.first.filters.column(column).reindex(rows)
        return [
            list(value) if isinstance(value, list | np.ndarray) else [] if pd.isna(value) else [value]
            for value in values
        ]


def _history(live: LiveModel, request: ListRequest) -> UserHistory:
    """The history of who asks, as a model reads it."""
    if request.session is not None:
        return live.users.session([ServedEvent("session", item, 0.0) for item in request.session])
    assert request.user is not None
    return live.users.of(live.user(request.user))
