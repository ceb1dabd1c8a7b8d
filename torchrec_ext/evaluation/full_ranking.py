"""Full ranking: where a user's targets stand among all items of the catalogue."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from torchrec_ext import contracts
from torchrec_ext.checks import expect_whole
from torchrec_ext.data.batching.batches import Batcher, take_context
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.distributed.process_group import world
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation.protocol_card import protocol_card
from torchrec_ext.evaluation.ranked_users import RankedUsers
from torchrec_ext.evaluation.report import Report
from torchrec_ext.evaluation.target_counts import TargetCounts
from torchrec_ext.evaluation.tied_scores import TiedScores
from torchrec_ext.metrics import RetrievalReport
from torchrec_ext.retrieval.encode import build_index, encode_users
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.jagged_ids import find_sorted
from torchrec_ext.retrieval.known_items import find_items
from torchrec_ext.retrieval.popular import is_cold_user, popular_index


@dataclass(frozen=True)
class UserSearch:
    """How the lists of (n,) users are found.

    Args:
        cold: (n,) bool, users of whom too little is known, who get the popular items.
        queries: (m,) other users to an index of the catalogue and their queries in it; every rank calls it.
        chunk: users whose queries are made at a time.
        about: how lists are made, for the protocol; empty for a model.
        cold_users: who the cold ones are, for the protocol.
    """

    cold: np.ndarray
    queries: Callable[[np.ndarray], tuple[ExactIndex, torch.Tensor]]
    chunk: int = 1024
    about: str = ""
    cold_users: str = "users of whom the model knows nothing"


SearchOf: TypeAlias = Callable[[EventLog, np.ndarray, np.ndarray], UserSearch]
"""The known events, (n,) users of their log and the (I,) item rows of the catalogue to a search."""


def full_ranking(
    model: contracts.Retriever | SearchOf,
    known: Dataset,
    targets: Dataset,
    ks: tuple[int, ...],
    *,
    preparation: Preparation | None = None,
    candidates: Sequence | np.ndarray | pd.Series | None = None,
    exclude_seen: bool = True,
    chunk: int = 1024,
    progress: bool = False,
    per_user: bool = False,
) -> Report:
    """Ranks every item of the catalogue for each user with targets; every rank must call it.

    Args:
        model: sharded and in evaluation mode, or another way to search.
        known: the events that histories and seen items are taken from.
        targets: the events to predict.
        ks: list lengths.
        preparation: of the model, which says what training has learnt from; None takes that of ``targets``.
        candidates: ids of the only items that are ranked; None ranks the catalogue.
        exclude_seen: leaves out the items a user has an event with in ``known``.
        chunk: users that are ranked at a time.
        progress: shows a bar on rank 0.
        per_user: keeps the values of each user in the report.

    Raises:
        InputError: for a list longer than the catalogue, or targets that are known.
    """
    expect_unknown(known, targets)
    log, _ = known.known_before(targets.before_first_target())
    wanted = targets.events
    preparation = preparation or targets.preparation
    rows = preparation.trained.catalogue
    if candidates is not None:
        found = find_items(preparation, candidates, "candidates")
        rows = np.unique(found[found > 0])
    users = np.unique(wanted.users[wanted.is_target()])
    if isinstance(model, contracts.Retriever):
        search = _model_search(model, Batcher(preparation, log, model.inputs), wanted, users, rows, chunk)
    else:
        search = model(log, users, rows)
    report = RetrievalReport(ks=ks, catalogue=len(rows), sync_on_compute=False)
    counts, ties, catalogue = TargetCounts(), TiedScores(max(ks, default=1)), torch.from_numpy(rows)
    kept = RankedUsers(report.ks) if per_user else None
    bar = tqdm(
        total=len(users), desc="evaluating", unit="user", leave=False,
        disable=None if progress and world()[0] == 0 else True,
    )  # fmt: skip

    def add(chosen: np.ndarray, searched: ExactIndex, queries: torch.Tensor, popular: bool) -> None:
        seen = _tensors(*log.items_of(chosen)) if exclude_seen else None
        items, offsets = _distinct(wanted, chosen)
        _, top, ranks, spans = searched.search_and_rank(queries, max(ks), (items, offsets), seen)
        ranks, top = ranks.cpu(), top.cpu().contiguous()
        places, _ = find_sorted(catalogue, top.view(-1))  # the report counts the items of the catalogue alone
        report.update(ranks, offsets, torch.where(top < 0, -1, places.view_as(top) + 1))
        counts.add(ranks, find_sorted(catalogue, items)[1])
        ties.add(spans.cpu(), offsets)
        if kept is not None:
            kept.add(chosen, items, offsets, ranks, top, by_model=not popular)
        bar.update(len(chosen))

    with bar:
        for found in _chunks(users[~search.cold], search.chunk):
            searched, queries = search.queries(found)
            for chosen, some in zip(_chunks(found, chunk), queries.split(chunk), strict=True):
                add(chosen, searched, some, popular=False)
        if search.cold.any():
            popular = popular_index(log, rows)
        for chosen in _chunks(users[search.cold], chunk):
            add(chosen, popular, torch.ones(len(chosen), 1), popular=True)
    protocol = f"{targets.protocol}; known: {known.name}; full ranking over {len(rows):,} items"
    protocol += ", the user's known items left out" if exclude_seen else ""
    cold = f"{search.cold.sum():,} {search.cold_users} get the popular items" if search.cold.any() else ""
    protocol = "; ".join(filter(None, [protocol, search.about, cold, counts.in_words(), ties.in_words()]))
    if isinstance(model, contracts.Retriever) and world()[0] == 0:
        counts.warn()
        ties.warn()
    figures = {**report.compute(), "items": len(rows)}
    return Report(
        figures,
        protocol=protocol,
        part=targets.name,
        counts={**counts.as_dict(), "tied": ties.tied, "undecided": ties.undecided},
        card=protocol_card(known, targets),
        per_user=kept.values(log, targets, preparation, rows) if kept is not None else None,
    )


def _model_search(
    model: contracts.Retriever,
    batcher: Batcher,
    wanted: EventLog,
    users: np.ndarray,
    rows: np.ndarray,
    chunk: int,
) -> UserSearch:
    index = build_index(model, batcher, rows)

    def queries(chosen: np.ndarray) -> tuple[ExactIndex, torch.Tensor]:
        context = take_context(wanted.context, wanted.offsets[chosen])
        return index, encode_users(model, batcher, chosen, context)

    cold = is_cold_user(model.inputs, batcher.preparation, batcher.known, users)
    # A user without a history takes little memory, and a lookup costs most where it begins.
    return UserSearch(cold, queries, chunk if model.inputs.max_length else 8 * chunk)


def expect_unknown(known: Dataset, targets: Dataset) -> None:
    """Refuses targets that are known.

    Raises:
        InputError: with their number.
    """
    is_known = np.zeros(max(part.rows.max(initial=0) for part in (known, targets)) + 1, bool)
    is_known[known.rows] = True  # a byte an event: sorting the rows takes many times as much
    if both := is_known[targets.rows].sum():
        raise InputError(
            f"{both:,} events of {targets.name} are in {known.name} too, so they are known and there is "
            "nothing to predict; hand in parts that share no event"
        )


def _chunks(users: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (users[start : start + size] for start in range(0, len(users), size))


def _tensors(items: np.ndarray, offsets: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(items), torch.from_numpy(offsets)


def _distinct(wanted: EventLog, users: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Each user's distinct target items, flat, and their offsets."""
    items, offsets = wanted.items_of(users)
    owners = np.repeat(np.arange(len(users)), np.diff(offsets))
    width = items.max(initial=0) + 1
    owners, items = np.divmod(np.unique(owners * width + items), width)
    return _tensors(items, offsets_of(np.bincount(owners, minlength=len(users))))


def list_lengths(k: int | Sequence[int]) -> tuple[int, ...]:
    """One or several list lengths as a tuple.

    Raises:
        InputError: if one is not a whole number of at least 1.

    Example:
        >>> list_lengths(10), list_lengths([5, 10])
        ((10,), (5, 10))
    """
    lengths = tuple(k) if isinstance(k, Iterable) else (k,)
    for length in lengths:
        expect_whole(1, k=length)
    return lengths
