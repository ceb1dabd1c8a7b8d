"""recommend(): each user's top-N list in the user's own ids."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from torchrec_ext import contracts
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.events import Events, expect_events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import slice_positions
from torchrec_ext.distributed import world
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.encode import build_index, encode_users
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.known_users import KnownUsers
from torchrec_ext.retrieval.popular import is_cold_user, popular_index
from torchrec_ext.retrieval.rank_candidates import CandidateRanker
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained

Seen: TypeAlias = tuple[np.ndarray, np.ndarray] | None
"""Flat int64 item rows to leave out and the (B + 1,) offsets of each user's."""

Lists: TypeAlias = tuple[np.ndarray, np.ndarray]
"""(B, k) float32 scores, best first, and (B, k) int64 item rows; -1 where a list has ended."""

Search: TypeAlias = Callable[[np.ndarray, int, Seen], Lists]
"""(B,) int64 users of the log, k and what they have seen to their lists."""


def recommend(
    model: TrainedModel,
    data: Events,
    users: Sequence | np.ndarray | pd.Series,
    k: int = 10,
    *,
    exclude_seen: bool = True,
    candidates: Sequence | pd.DataFrame | None = None,
    chunk: int = 1024,
    progress: bool = False,
) -> pd.DataFrame:
    """The k best items of each user; every rank must call it with the same users.

    A retriever is exact over the whole catalogue: each rank scores its own slice of the items. A
    ranker scores every candidate. The catalogue holds the items that training has learnt from; a newer item
    is recommended after the next training, whatever its side features. Ties go to the item that came first
    into the vocabulary. Features of the context count as unknown.

    Args:
        model: trained by fit, opened by load, or a :class:`TrainedModel` of your own.
        data: every event known now: histories are read from it, and the items in it count as seen.
        users: ids as in the data; strings that spell integers find integer ids. One that is named twice
            gets one list.
        k: length of the lists.
        exclude_seen: leaves out the items a user has an event with, unless its type weighs 0; a user with
            fewer than k items left gets fewer rows.
        candidates: ids of the items that may be recommended, or for a ranker also a frame of columns
            ``user`` and ``item`` as :func:`recommend` gives it for a retriever; None for every item.
        chunk: users at a time.
        progress: shows a bar on rank 0.

    Returns:
        Columns ``user``, ``item``, ``score``, ``rank`` (from 1) and ``source``: ``model``, or
        ``popular`` for a user of whom the model knows nothing (neither an event of an item that training
        knows, nor an id or side features that it reads), who gets the items with most events in
        ``data`` with their number as score. The same frame on every rank, users in the order given.

    Raises:
        InputError: if k is not from 1 to the number of candidates, there is no user, or an argument is of
            another kind.
    """
    expect_trained(model)
    expect_events(data)
    module, preparation, inputs = model.module, model.preparation, model.inputs
    rows = _candidate_rows(module, preparation, candidates, k)
    known = KnownUsers(preparation, data)
    ids, found = _distinct_users(known, users)
    unknown = is_cold_user(inputs, preparation, known.log, found)
    batcher = Batcher(preparation, known.log, inputs)
    bar = tqdm(
        total=len(found), desc="recommending", unit="user", leave=False,
        disable=None if progress and world()[0] == 0 else True,
    )  # fmt: skip
    frames = []
    with inference(module), bar:
        for source, places in (("model", np.flatnonzero(~unknown)), ("popular", np.flatnonzero(unknown))):
            if not len(places):
                continue
            if source == "model":
                search = _personal(module, batcher, known, candidates, rows)
            else:
                search = _popular(known, rows)
            for start in range(0, len(places), chunk):
                some = places[start : start + chunk]
                seen = known.log.items_of(found[some]) if exclude_seen else None
                lists = search(found[some], k, seen)
                frames.append(_frame(ids[some], lists, preparation, source, some))
                bar.update(len(some))
    result = pd.concat(frames, ignore_index=True)
    return result.sort_values(["place", "rank"], kind="stable").drop(columns="place").reset_index(drop=True)


def _distinct_users(
    known: KnownUsers, users: Sequence | np.ndarray | pd.Series
) -> tuple[np.ndarray, np.ndarray]:
    """Each user once: the own ids, and the users of the log."""
    wanted = np.asarray(pd.Series(users).drop_duplicates())
    if not len(wanted):
        raise InputError("users is empty; give at least one id")
    found = known.find(wanted)
    twice = pd.Series(found).duplicated().to_numpy() & (found != known.unknown_user)  # "7" and 7
    return known.given(found[~twice], wanted[~twice]), found[~twice]


def _candidate_rows(
    model: nn.Module, preparation: Preparation, candidates: Sequence | pd.DataFrame | None, k: int
) -> np.ndarray:
    """Ascending rows of the items that may be recommended to anybody."""
    rows = preparation.trained.catalogue
    if candidates is not None:
        ids = candidates
        if isinstance(candidates, pd.DataFrame):
            if not isinstance(model, contracts.Ranker):
                raise InputError("candidates of a retriever must be item ids, received a DataFrame")
            for column in ("user", "item"):
                if column not in candidates:
                    there = ", ".join(map(str, candidates.columns))
                    raise InputError(f"candidates lack the column {column!r}; they have {there}")
            ids = candidates["item"]
        rows = np.intersect1d(rows, preparation.vocabularies["item"].rows(pd.Series(ids)))
    if not 1 <= k <= len(rows):
        what = "the catalogue has" if candidates is None else "there are among the candidates"
        raise InputError(
            f"k must be from 1 to the number of items; received {k}, but {what} {len(rows)} items"
        )
    return rows


def _personal(
    model: nn.Module,
    batcher: Batcher,
    known: KnownUsers,
    candidates: Sequence | pd.DataFrame | None,
    rows: np.ndarray,
) -> Search:
    """The model's lists."""
    if isinstance(model, contracts.Ranker):
        pairs = candidates if isinstance(candidates, pd.DataFrame) else None
        return CandidateRanker(model, batcher, known, rows, pairs).search
    assert isinstance(model, contracts.Retriever)
    retriever = model
    index = build_index(retriever, batcher, rows)

    def search(users: np.ndarray, k: int, seen: Seen) -> Lists:
        return _search(index, encode_users(retriever, batcher, users), k, seen)

    return search


def _popular(known: KnownUsers, rows: np.ndarray) -> Search:
    """The items with most events."""
    index = popular_index(known.log, rows)

    def search(users: np.ndarray, k: int, seen: Seen) -> Lists:
        return _search(index, torch.ones(len(users), 1), k, seen)

    return search


def _search(index: ExactIndex, queries: torch.Tensor, k: int, seen: Seen) -> Lists:
    exclude = None if seen is None else (torch.from_numpy(seen[0]), torch.from_numpy(seen[1]))
    scores, rows = index.search(queries, k, exclude)
    return scores.cpu().numpy(), rows.cpu().numpy()


def _frame(
    ids: np.ndarray, lists: Lists, preparation: Preparation, source: str, place: np.ndarray
) -> pd.DataFrame:
    scores, rows = lists
    there = rows >= 0
    lengths = there.sum(1)
    return pd.DataFrame({
        "user": np.repeat(ids, lengths),
        "item": preparation.vocabularies["item"].ids(rows[there]),
        "score": scores[there],
        "rank": slice_positions(np.zeros_like(lengths), lengths) + 1,
        "source": source,
        "place": np.repeat(place, lengths),
    })  # fmt: skip
