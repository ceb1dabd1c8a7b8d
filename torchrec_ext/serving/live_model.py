"""LiveModel: a bundle with its index and the histories of its users, ready to answer."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from torchrec_ext import contracts
from torchrec_ext.data.batching.batches import Batcher, Context, take_context
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.encode import encode_slice, encode_users, expect_retriever, item_batcher
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.popular import is_cold_user, popular_index
from torchrec_ext.retrieval.ragged import Ragged
from torchrec_ext.retrieval.rank_candidates import rank_candidates
from torchrec_ext.retrieval.request_context import context_read
from torchrec_ext.serving.bundle import Bundle
from torchrec_ext.serving.event_store import EventStore
from torchrec_ext.serving.item_filters import ItemFilters
from torchrec_ext.serving.local_model import LocalRetriever
from torchrec_ext.serving.model_request import FoundItems, ModelRequest
from torchrec_ext.serving.sent_values import sent_values
from torchrec_ext.serving.served_event import Id
from torchrec_ext.serving.streaming_states import StreamingStates, is_streaming
from torchrec_ext.serving.user_histories import UserHistories
from torchrec_ext.serving.user_history import UserHistory, log_of


class LiveModel:
    """Answers requests with a bundle's model. One thread may use it at a time.

    Args:
        bundle: the model, and the events it brings.
        store: events after those of the bundle.
        name: of the bundle, in answers.
        index: an empty one to fill with the item vectors; None for that of the bundle, or an exact one.
    """

    def __init__(
        self, bundle: Bundle, store: EventStore, name: str, index: contracts.Index | None = None
    ) -> None:
        self.name, self.bundle, self.model = name, bundle, bundle.model
        self.preparation, self.inputs = bundle.model.preparation, bundle.model.inputs
        self.catalogue = self.preparation.trained.catalogue
        self.added = np.zeros(0, np.int64)  # rows of the items that `built` does not know, or not as they are
        self.users = UserHistories(bundle, store)
        self.filters = ItemFilters(
            None if bundle.events is None else bundle.events.items, self.preparation.vocabularies["item"]
        )
        self.times = bundle.events is None or bundle.events.source.order == "time"
        module = self.model.module
        self.states: StreamingStates | None = None
        if isinstance(module, LocalRetriever):
            with torch.inference_mode():
                batcher = item_batcher(self.preparation, self.inputs)
                self.vectors, rows = encode_slice(module, batcher, self.catalogue)
            if index is None:
                stored = bundle.stored_index
                index = ExactIndex(module.scorer) if stored is None else stored.open(module.scorer)
            self.index: contracts.Index = index
            self.index.build(self.vectors, rows)
            self.built, self.built_items = self.index, len(rows)
            if is_streaming(module):
                self.states = StreamingStates(module, self.preparation, self.times)
        log = self.users.log
        self.popular = None if log is None else popular_index(log, self.catalogue)
        self._context = context_read(self.inputs, self.preparation)

    @torch.inference_mode()
    def lists(self, requests: Sequence[ModelRequest]) -> list[FoundItems]:
        """The lists of several requests, computed together."""
        log = self.log_of([request.history for request in requests])
        batcher = Batcher(self.preparation, log, self.inputs)
        cold = is_cold_user(self.inputs, self.preparation, log, np.arange(len(requests)))
        found = {place: self._popular(requests[place]) for place in np.flatnonzero(cold).tolist()}
        with_context = np.array([request.context is not None for request in requests])
        for users in (np.flatnonzero(~cold & with_context), np.flatnonzero(~cold & ~with_context)):
            if len(users):
                some = [requests[user] for user in users.tolist()]
                found |= dict(zip(users.tolist(), self._lists(some, batcher, users), strict=True))
        return [found[place] for place in range(len(requests))]

    def _lists(
        self, requests: Sequence[ModelRequest], batcher: Batcher, users: np.ndarray
    ) -> list[FoundItems]:
        """The lists of requests of (B,) users of the batcher's log; all of them have a context, or none."""
        begin = time.perf_counter()
        contexts = [request.context for request in requests if request.context is not None]
        context = self.context_values(contexts)
        if not isinstance(self.model.module, LocalRetriever):
            return [
                self._ranked(request, batcher, users[[place]], take_context(context, np.array([place])))
                for place, request in enumerate(requests)
            ]
        queries = self._queries([request.history for request in requests], batcher, users, context)
        encoded = time.perf_counter()
        free = [place for place, request in enumerate(requests) if request.allowed is None]
        found: dict[int, tuple[Tensor, Tensor]] = {}
        if free:
            k = min(max(requests[place].k for place in free), len(self.catalogue))
            scores, rows = self.index.search(queries[free], k, _jagged([requests[p].left_out for p in free]))
            found |= {place: (scores[i], rows[i]) for i, place in enumerate(free)}
        for place, request in enumerate(requests):
            if request.allowed is not None:
                found[place] = self._among(queries[[place]], request, request.allowed)
        times = {"query": 1000 * (encoded - begin), "search": 1000 * (time.perf_counter() - encoded)}
        return [_found(*found[place], request.k, "model", times) for place, request in enumerate(requests)]

    def _queries(
        self, histories: Sequence[UserHistory], batcher: Batcher, users: np.ndarray, context: Context
    ) -> Tensor:
        """(B, D) or (B, K, D) queries: from the states of active users, else from whole histories."""
        module = self.model.module
        assert isinstance(module, LocalRetriever)
        kept = np.array([self.states is not None and history.active for history in histories])
        found: dict[int, Tensor] = {}
        if not kept.all():
            places = np.flatnonzero(~kept)
            queries = encode_users(module, batcher, users[places], take_context(context, places))
            found |= dict(zip(places.tolist(), queries, strict=True))
        if kept.any():
            places = np.flatnonzero(kept)
            active = [histories[place] for place in places.tolist()]
            queries = self._from_states(active, batcher, users[places], take_context(context, places))
            found |= dict(zip(places.tolist(), queries, strict=True))
        return torch.stack([found[place] for place in range(len(histories))])

    def _from_states(
        self, histories: Sequence[UserHistory], batcher: Batcher, users: np.ndarray, context: Context
    ) -> Tensor:
        module = self.model.module
        assert isinstance(module, LocalRetriever) and self.states is not None
        states = torch.stack([self.states.state_of(history) for history in histories])
        without = replace(self.inputs, max_length=0, history_fields=())
        log = batcher.known
        batch = Batcher(self.preparation, log, without).queries(users, log.offsets[users + 1], context)
        return module.towers.query_tower.from_states(states, module.embeddings.pool(batch), batch).float()

    def _among(self, query: Tensor, request: ModelRequest, allowed: np.ndarray) -> tuple[Tensor, Tensor]:
        """The best of some items of the catalogue, exactly."""
        module = self.model.module
        assert isinstance(module, LocalRetriever)
        rows = np.setdiff1d(np.intersect1d(allowed, self.catalogue, assume_unique=True), request.left_out)
        if not len(rows):
            return torch.zeros(0), torch.zeros(0, dtype=torch.int64)
        index = ExactIndex(module.scorer)
        places = np.searchsorted(self.catalogue, rows)
        index.build(self.vectors[torch.from_numpy(places)], torch.from_numpy(rows))
        scores, found = index.search(query, min(request.k, len(rows)))
        return scores[0], found[0]

    def _ranked(
        self, request: ModelRequest, batcher: Batcher, user: np.ndarray, context: Context
    ) -> FoundItems:
        """The best items of a ranker, which scores each for a (1,) user of the batcher's log."""
        begin = time.perf_counter()
        rows = self.catalogue if request.allowed is None else np.intersect1d(request.allowed, self.catalogue)
        rows = np.setdiff1d(rows, request.left_out, assume_unique=True)
        if not len(rows):
            return FoundItems(rows, np.zeros(0, np.float32), "model", {})
        none = Ragged(np.zeros(0, np.int64), np.zeros(2, np.int64))
        k = min(request.k, len(rows))
        scores, best = rank_candidates(self.model.module, batcher, rows, user, k, none, context)
        return FoundItems(best[0], scores[0], "model", {"search": 1000 * (time.perf_counter() - begin)})

    def _popular(self, request: ModelRequest) -> FoundItems:
        """The items with most events, for somebody of whom the model knows nothing."""
        if self.popular is None:
            return FoundItems(np.zeros(0, np.int64), np.zeros(0, np.float32), "popular", {})
        left_out = request.left_out
        if request.allowed is not None:
            left_out = np.union1d(left_out, np.setdiff1d(self.catalogue, request.allowed))
        k = min(request.k, len(self.catalogue))
        scores, rows = self.popular.search(torch.ones(1, 1), k, _jagged([left_out]))
        return _found(scores[0], rows[0], k, "popular", {})

    def log_of(self, histories: Sequence[UserHistory]) -> EventLog:
        """The log of the events of several users, in their order."""
        return log_of(histories, self.users.reader.features, self.times)

    def context_values(self, contexts: Sequence[Mapping[str, Any]]) -> Context:
        """The context features of the moment of each of B requests."""
        if not contexts:
            return {}
        return {
            f.name: sent_values(self.preparation, f, [c[f.column] for c in contexts], strict=True)
            for f in self._context
        }

    def similar(self, row: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(n,) rows and cosines of the nearest other items of an item, n at most k; for a retriever alone."""
        expect_retriever(self.model.module, "similar")
        query = functional.normalize(self.vectors[[self.place(row)]].float(), dim=-1)
        scores, rows = self._by_cosine.search(query, min(k, len(self.catalogue)), _jagged([np.array([row])]))
        found = _found(scores[0], rows[0], k, "model", {})
        return found.rows, found.scores

    @cached_property
    def _by_cosine(self) -> ExactIndex:
        index = ExactIndex()
        index.build(functional.normalize(self.vectors.float(), dim=-1), torch.from_numpy(self.catalogue))
        return index

    def user(self, user: Id) -> Id:
        """The id of a user in the kind of the data's ids."""
        return self.preparation.vocabularies["user"].in_kind(user)

    def item(self, item: Id) -> Id:
        """The id of an item in the kind of the data's ids."""
        return self.preparation.vocabularies["item"].in_kind(item)

    def item_row(self, item: Id) -> int:
        """The row of an item; an InputError if it is not in the catalogue."""
        row = int(self.preparation.vocabularies["item"].rows([self.item(item)])[0])
        place = self.place(row)
        if place == len(self.catalogue) or self.catalogue[place] != row:
            raise InputError(f"item: {item!r} is not in the catalogue")
        return row

    def items_and_times(self, history: UserHistory) -> list[tuple[Id | None, float]]:
        """Item and time of each event of a history; the item is None where the model does not know it."""
        rows = np.array(history.items, np.int64)
        items = np.full(len(rows), None, object)
        items[rows > 0] = self.preparation.vocabularies["item"].ids(rows[rows > 0])
        return list(zip(items.tolist(), history.times, strict=True))

    @property
    def reads_context(self) -> bool:
        """Whether the model reads the moment of a request."""
        return bool(self._context)

    def place(self, row: int) -> int:
        """Where an item of the catalogue stands among the vectors."""
        return int(np.searchsorted(self.catalogue, row))

    def places(self, rows: np.ndarray) -> np.ndarray:
        """The same of (n,) rows of items of the catalogue."""
        return np.searchsorted(self.catalogue, rows)

    def item_rows(self, items: Sequence[Id]) -> np.ndarray:
        """(m,) int64 rows of the items that are known."""
        rows = self.preparation.vocabularies["item"].rows(pd.Series([self.item(item) for item in items]))
        return rows[rows > 0]

    def expect_context(self, context: Mapping[str, Any]) -> None:
        """Refuses a context that lacks a column that the model reads, or that the model does not read."""
        if not self._context:
            raise InputError("context is given, but the model reads none; leave it out")
        for feature in self._context:
            if feature.column not in context:
                raise InputError(f"context lacks {feature.column!r}, which the model reads")
        self.context_values([context])


def _found(scores: Tensor, rows: Tensor, k: int, source: str, times: Mapping[str, float]) -> FoundItems:
    there = rows[:k] >= 0
    return FoundItems(rows[:k][there].numpy(), scores[:k][there].numpy(), source, times)


def _jagged(lists: Iterable[np.ndarray]) -> tuple[Tensor, Tensor]:
    parts = list(lists)
    values = np.concatenate([np.zeros(0, np.int64), *parts])
    return torch.from_numpy(values), torch.from_numpy(offsets_of(np.array([len(part) for part in parts])))
