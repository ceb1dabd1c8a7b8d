"""recommend(): each user's top-N list in the user's own ids."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from torchrec_ext import contracts
from torchrec_ext.data.batches import Batcher
from torchrec_ext.data.events import Events
from torchrec_ext.data.slices import slice_positions
from torchrec_ext.distributed import world
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.encode import build_index, encode_users, inference, preparation_of
from torchrec_ext.retrieval.known_users import KnownUsers
from torchrec_ext.retrieval.rank_candidates import rank_candidates

Lists = tuple[np.ndarray, np.ndarray]
"""(B, k) scores, best first, and (B, k) item rows; -1 where a list has ended."""


def recommend(
    model: nn.Module,
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
    ranker scores every candidate. Ties go to the item that came first into the vocabulary.

    Args:
        model: trained by fit or opened by load.
        data: every event known now: histories are read from it, and the items in it count as seen.
        users: ids as in the data; strings that spell integers find integer ids.
        k: length of the lists.
        exclude_seen: leaves out the items a user has an event with; a user with fewer than k items
            left gets fewer rows.
        candidates: ids of the items that may be recommended, or for a ranker also a frame of columns
            ``user`` and ``item`` as :func:`recommend` gives it for a retriever; None for every item.
        chunk: users at a time.
        progress: shows a bar on rank 0.

    Returns:
        Columns ``user``, ``item``, ``score``, ``rank`` (from 1) and ``source``: ``model``, or
        ``popular`` for a user of whom nothing is known, who gets the items with most events in
        ``data`` with their number as score. The same frame on every rank.

    Raises:
        InputError: if k is not from 1 to the number of candidates, or the model has no data.
    """
    preparation = preparation_of(model)
    known = KnownUsers(preparation, data)
    wanted = np.asarray(pd.Series(users).drop_duplicates())
    rows = _candidate_rows(model, preparation, candidates, k)
    found = known.find(wanted)
    unknown = _nothing_known(model, known, found)
    batcher = Batcher(preparation, known.log, model.inputs)  # type: ignore[arg-type]
    frames = []
    with inference(model):
        personal = np.flatnonzero(~unknown)
        search = _searcher(model, batcher, known, candidates, rows) if len(personal) else None
        bar = tqdm(
            range(0, len(personal), chunk),
            "recommending",
            disable=None if progress and world()[0] == 0 else True,
            leave=False,
        )
        for start in bar:
            chosen = found[personal[start : start + chunk]]
            seen = known.log.histories(chosen) if exclude_seen else None
            assert search is not None
            lists = search(chosen, k, seen)
            frames.append(
                _frame(known.given(chosen), lists, preparation, "model", personal[start : start + chunk])
            )
    if unknown.any():
        lists = _popular(known, rows, int(unknown.sum()), k)
        frames.append(_frame(wanted[unknown], lists, preparation, "popular", np.flatnonzero(unknown)))
    if not frames:
        raise InputError("users is empty; give at least one id")
    result = pd.concat(frames, ignore_index=True)
    return result.sort_values(["place", "rank"], kind="stable").drop(columns="place").reset_index(drop=True)


def _searcher(model: nn.Module, batcher: Batcher, known: KnownUsers, candidates, rows: np.ndarray):  # type: ignore[no-untyped-def]
    """A function from users, k and seen items to their lists."""
    if isinstance(model, contracts.Ranker):
        pairs = candidates if isinstance(candidates, pd.DataFrame) else None
        return lambda chosen, k, seen: rank_candidates(model, batcher, known, chosen, k, seen, rows, pairs)
    assert isinstance(model, contracts.Retriever)
    index = build_index(model, batcher, rows)

    def search(chosen: np.ndarray, k: int, seen: tuple[np.ndarray, np.ndarray] | None) -> Lists:
        queries = encode_users(model, batcher, chosen, batcher.known.offsets[chosen + 1])
        exclude = None if seen is None else (torch.from_numpy(seen[0]), torch.from_numpy(seen[1]))
        scores, ids = index.search(queries, k, exclude)
        return scores.cpu().numpy(), ids.cpu().numpy()

    return search


def _candidate_rows(model: nn.Module, preparation, candidates, k: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Rows of the items that may be recommended to anybody."""
    items = preparation.vocabularies["item"]
    rows = np.arange(1, len(items))
    if candidates is not None:
        if isinstance(candidates, pd.DataFrame) and not isinstance(model, contracts.Ranker):
            raise InputError(
                "candidates of a retriever must be item ids, received a DataFrame; a ranker takes those"
            )
        ids = candidates["item"] if isinstance(candidates, pd.DataFrame) else pd.Series(candidates)
        rows = np.unique(items.rows(ids))
        rows = rows[rows > 0]
    if not 1 <= k <= len(rows):
        what = "catalogue has" if candidates is None else "candidates are"
        raise InputError(
            f"k must be from 1 to the number of items; received {k}, but the {what} {len(rows)} items"
        )
    return rows


def _nothing_known(model: nn.Module, known: KnownUsers, users: np.ndarray) -> np.ndarray:
    """Whether there is nothing the model could go by: no event where it reads histories alone, no row else."""
    no_events = np.diff(known.log.offsets)[users] == 0
    no_row = known.log.user_rows[users] == 0
    if not model.inputs.max_length:  # type: ignore[union-attr]
        return no_row
    return no_events & no_row if model.inputs.fields else no_events  # type: ignore[union-attr]


def _popular(known: KnownUsers, rows: np.ndarray, users: int, k: int) -> Lists:
    counts = np.bincount(known.log.items, minlength=rows.max() + 1)[rows]
    best = np.lexsort((rows, -counts))[:k]
    return np.tile(counts[best].astype(np.float32), (users, 1)), np.tile(rows[best], (users, 1))


def _frame(ids: np.ndarray, lists: Lists, preparation, source: str, place: np.ndarray) -> pd.DataFrame:  # type: ignore[no-untyped-def]
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
