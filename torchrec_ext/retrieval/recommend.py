"""recommend(): the top-N list of each user or session in the user's own ids."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from torchrec_ext import contracts
from torchrec_ext.checks import expect_whole
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.events import Events, expect_events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import slice_positions
from torchrec_ext.distributed.process_group import world
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.encode import expect_retriever
from torchrec_ext.retrieval.item_choice import ItemSets, choose_items
from torchrec_ext.retrieval.item_index import ItemIndex
from torchrec_ext.retrieval.popular import is_cold_user
from torchrec_ext.retrieval.ragged import Ragged
from torchrec_ext.retrieval.request_context import context_read, request_context
from torchrec_ext.retrieval.requests import Requests, requests_of_users
from torchrec_ext.retrieval.searches import Search, TopK, popular_search, ranker_search, retriever_search
from torchrec_ext.retrieval.sessions import reads_times, requests_of_sessions
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained


def recommend(
    model: TrainedModel,
    data: Events | None = None,
    users: Sequence | np.ndarray | pd.Series | None = None,
    k: int = 10,
    *,
    sessions: Sequence[Sequence] | pd.DataFrame | None = None,
    context: Mapping[str, Any] | pd.DataFrame | None = None,
    candidates: ItemSets | None = None,
    exclude: ItemSets | None = None,
    where: str | pd.Series | np.ndarray | None = None,
    exclude_seen: bool = True,
    index: ItemIndex | None = None,
    chunk: int = 1024,
    progress: bool = False,
) -> pd.DataFrame:
    """The k best items of each user or session; every rank must call it with the same arguments.

    A retriever is exact over the whole catalogue: each rank scores its own slice of the items. A
    ranker scores every candidate. The catalogue holds the items that training has learnt from; a newer item
    is recommended after the next training, whatever its side features. Ties go to the item that came first
    into the vocabulary.

    Who asks is named by ``users`` or ``sessions``, and ``context`` describes the moment. ``candidates``,
    ``exclude``, ``where`` and ``exclude_seen`` restrict the items, all of them at once; a list is shorter
    than k where fewer items are left. ``candidates`` and ``exclude`` hold for everybody as a list of item
    ids, and for each user as a frame of columns ``user`` and ``item`` (which ``recommend`` returns) or a
    mapping of users to lists of ids. With sessions the column is ``session``.

    Args:
        model: trained by fit, opened by load, or a :class:`TrainedModel` of your own.
        data: every event known now: histories are read from it, and the items in it count as seen. For
            sessions it may be absent; it then gives the popular items and the columns for ``where``.
        users: ids as in the data; strings that spell integers find integer ids. One that is named twice
            gets one list.
        k: length of the lists.
        sessions: anonymous histories: lists of item ids, oldest first, which are called 0, 1, ...; or a
            frame of columns ``session``, ``item``, perhaps ``timestamp``, and the context columns that the
            model reads of the events.
        context: columns of the context features that the model reads, such as
            ``{"device": "phone", "hour": 8.0}`` for everybody, or a frame with a row for each user and a
            column ``user``; None makes them unknown.
        candidates: the only items that may be recommended; None for every item. A user without candidates
            gets no row.
        exclude: items that are left out.
        where: which rows of ``data.items`` may be recommended: a condition for ``DataFrame.eval``, such as
            ``"price < 10 and brand == 'acme'"`` (code to pandas, so not one that a stranger wrote), or a
            boolean for each row.
        exclude_seen: leaves out the items of the user's own events, unless their type weighs 0.
        index: what ``model.build_index()`` returned, of a retriever; its items are then the catalogue.
            None encodes all items in each call.
        chunk: users at a time.
        progress: shows a bar on rank 0.

    Returns:
        Columns ``user`` (or ``session``), ``item``, ``score``, ``rank`` (from 1) and ``source``: ``model``,
        or ``popular`` for a user of whom the model knows nothing (neither an event of an item that training
        knows, nor an id or side features that it reads), who gets the items with most events in ``data``
        with their number as score. The same frame on every rank, users in the order given. Without ``data``
        a session of which the model knows nothing gets no row, and a warning counts them.

    Raises:
        InputError: if k is not from 1 to the number of items, there is no user or session, no item may be
            recommended, or an argument has another form.

    Example:
        >>> import torchrec_ext as tx
        >>> songs = pd.DataFrame({"item": list("abcd"), "year": [1990, 2000, 2010, 2020]})
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdab")})
        >>> train, _, _ = tx.data.leave_last_out(events := tx.data.read_events(heard, items=songs))
        >>> model = tx.models.TwoTower(train.schema, dim=8, encoder="gru")
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> lists = recommend(trained, events, [2], 4, exclude_seen=False, where="year > 1990", exclude=["b"])
        >>> sorted(lists["item"]), lists["rank"].tolist()
        (['c', 'd'], [1, 2])
        >>> recommend(trained, sessions=[["a", "b"], ["c"]], k=1)["session"].tolist()
        [0, 1]
    """
    expect_trained(model)
    module, preparation, inputs = model.module, model.preparation, model.inputs
    expect_whole(0, k=k)
    requests = _requests(model, data, users, sessions)
    values = request_context(preparation, context_read(inputs, preparation), requests, context)
    offered = preparation.trained.catalogue
    if index is not None:
        _expect_index(index, model)
        offered = index.rows
    if not 1 <= k <= len(offered):
        there = f"the {'catalogue' if index is None else 'index'} has {len(offered)} items"
        raise InputError(f"k must be from 1 to the number of items; received {k}, but {there}")
    choice = choose_items(
        preparation, requests, offered,
        indexed=index is not None, items=None if data is None else data.items,
        candidates=candidates, exclude=exclude, where=where,
    )  # fmt: skip
    cold = is_cold_user(inputs, preparation, requests.log, requests.users)
    bar = tqdm(
        total=len(requests), desc="recommending", unit=requests.entity, leave=False,
        disable=None if progress and world()[0] == 0 else True,
    )  # fmt: skip
    step, frames = choice.chunk(chunk), []

    def add(source: str, positions: np.ndarray, search: Search) -> None:
        for start in range(0, len(positions), step):
            some = positions[start : start + step]
            seen = Ragged(*requests.log.items_of(requests.users[some])) if exclude_seen else None
            top = search(some, min(k, len(choice.rows)), choice.left_out(some, seen))
            frames.append(_frame(requests, some, top, preparation, source))
            bar.update(len(some))

    with inference(module), bar:
        if not cold.all():
            batcher = Batcher(preparation, requests.log, inputs)
            if isinstance(module, contracts.Ranker):
                search = ranker_search(module, batcher, requests, values, choice.rows)
            else:
                retriever = expect_retriever(module, "recommend")
                given = None if index is None else index.index
                search = retriever_search(retriever, batcher, requests, values, choice.rows, given)
            add("model", np.flatnonzero(~cold), search)
        if cold.any() and data is not None:
            log = requests.log if sessions is None else preparation.log(data)
            add("popular", np.flatnonzero(cold), popular_search(log, choice.rows))
        elif cold.any():
            _warn_of_unknown(requests.ids[cold], len(requests))
    if not frames:  # sessions alone, of all of which nothing is known
        none = np.zeros(0, np.int64)
        frames = [_frame(requests, none, (np.zeros((0, k)), np.zeros((0, k), np.int64)), preparation, "")]
    result = pd.concat(frames, ignore_index=True).sort_values(["position", "rank"], kind="stable")
    return result.drop(columns="position").reset_index(drop=True)


def _requests(
    model: TrainedModel,
    data: Events | None,
    users: Sequence | np.ndarray | pd.Series | None,
    sessions: Sequence[Sequence] | pd.DataFrame | None,
) -> Requests:
    """Who asks: the users or the sessions, of which one must be given."""
    if (users is None) == (sessions is None):
        received = "neither" if users is None else "both"
        raise InputError(f"name who asks: give either users or sessions; received {received}")
    if data is not None or sessions is None:
        expect_events(data)
    if sessions is None:
        assert data is not None and users is not None
        return requests_of_users(model.preparation, data, users)
    requests = requests_of_sessions(model.preparation, model.inputs, sessions)
    if requests.log.times is None and reads_times(model.module) and world()[0] == 0:
        warnings.warn(
            "the model reads the times of events, but the sessions have none; give a column timestamp",
            stacklevel=3,
        )
    return requests


def _expect_index(index: object, model: TrainedModel) -> None:
    """Refuses an index that is not the model's own."""
    expect_retriever(model.module, "index")
    if not isinstance(index, ItemIndex):
        raise InputError(
            f"index should be what build_index() returned, received {type(index).__name__}; an index of your "
            "own is filled by build_index(index=...)"
        )
    if index.module is not model.module:
        raise InputError("index holds the vectors of another model; give this model's build_index()")


def _warn_of_unknown(ids: np.ndarray, count: int) -> None:
    if world()[0] == 0:
        warnings.warn(
            f"nothing is known of {len(ids):,} of the {count:,} sessions, such as {ids.tolist()[0]!r}: they "
            "get no list; give data, whose popular items they then get",
            stacklevel=3,
        )


def _frame(
    requests: Requests, positions: np.ndarray, top: TopK, preparation: Preparation, source: str
) -> pd.DataFrame:
    scores, rows = top
    there = rows >= 0
    lengths = there.sum(1)
    return pd.DataFrame({
        requests.entity: np.repeat(requests.ids[positions], lengths),
        "item": preparation.vocabularies["item"].ids(rows[there]),
        "score": scores[there],
        "rank": slice_positions(np.zeros_like(lengths), lengths) + 1,
        "source": source,
        "position": np.repeat(positions, lengths),
    })  # fmt: skip
