"""evaluate(): the figures of a model on a part of a split."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from torchrec_ext import contracts
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.distributed import world
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation.report import Report
from torchrec_ext.metrics import BinaryReport, RetrievalReport
from torchrec_ext.retrieval.encode import (
    build_index,
    check_ids,
    encode_users,
    inference,
    preparation_of,
)
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.popular import nothing_known, popular_index
from torchrec_ext.retrieval.score_pairs import score_pairs


def evaluate(
    model: nn.Module,
    known: Dataset,
    targets: Dataset,
    k: Sequence[int] = (10, 50),
    *,
    exclude_seen: bool = True,
    positive: float | Sequence[float] = 4.0,
    chunk: int = 1024,
    progress: bool = False,
) -> Report:
    """Evaluates a retriever in full ranking, a ranker on labelled pairs; every rank must call it.

    Retrieval: the figures are those of the lists that :func:`torchrec_ext.retrieval.recommend` makes of
    the events in ``known``. A user's targets are all of the user's events in ``targets``. Every item of
    the catalogue is ranked, but those the user has an event with in ``known``; ties go to the lower
    row. A target that is left out so, or that the catalogue does not have, counts as not found. A user
    of whom the model knows nothing gets the popular items.

    Ranking: a pair's history is what its user has in ``known`` before it.

    Args:
        model: sharded: trained by fit or opened by load.
        known: the events that histories and seen items are taken from, such as ``train``, or
            ``train + valid`` before the test.
        targets: the events to predict; of a model that reads the context, a user's first one gives it.
        k: list lengths, for a retriever.
        exclude_seen: see above; False where items are taken again and again.
        positive: least rating of an interested user, for a ranker; of several, one for each task, the
            first counts.
        chunk: users at a time.
        progress: shows a bar on rank 0.

    Returns:
        The figures by name; the same on every rank.

    Raises:
        InputError: for a list longer than the catalogue, targets that are known to a retriever, or a split
            of other events than the model was trained on.

    Sources:
        Definitions: :class:`torchrec_ext.metrics.RetrievalReport` and ``BinaryReport``.
    """
    if getattr(model, "preparation", None) is not None:
        check_ids(preparation_of(model), targets.preparation, f"the split of {targets.name}")
    with inference(model):
        if isinstance(model, contracts.Ranker):
            return _evaluate_ranker(model, known, targets, positive, progress)
        if isinstance(model, contracts.Retriever):
            return _evaluate_retriever(model, known, targets, tuple(k), exclude_seen, chunk, progress)
    raise InputError(f"model must be a Ranker or a Retriever, received a {type(model).__name__}")


def _evaluate_ranker(
    model: contracts.Ranker,
    known: Dataset,
    targets: Dataset,
    positive: float | Sequence[float],
    progress: bool,
) -> Report:
    positive = float(np.atleast_1d(positive)[0])
    examples = LabelledEvents(targets, known, model.inputs, positive)
    log = targets.events
    scores = score_pairs(
        model, examples.batcher, examples.users, examples.ends, log.items, log.context, progress=progress
    )
    report = BinaryReport(sync_on_compute=False)
    report.update(scores, torch.from_numpy(examples.labels[:, 0]))
    protocol = f"{targets.protocol}; labels: rating >= {positive:g}"
    return Report(report.compute(), protocol=protocol, part=targets.name)


def _evaluate_retriever(
    model: contracts.Retriever,
    known: Dataset,
    targets: Dataset,
    ks: tuple[int, ...],
    exclude_seen: bool,
    chunk: int,
    progress: bool,
) -> Report:
    both = np.intersect1d(known.rows, targets.rows, assume_unique=True)
    if len(both):
        raise InputError(
            f"{len(both):,} events of {targets.name} are in {known.name} too, so they are known and there is "
            "nothing to predict; hand in parts that share no event"
        )
    log, _ = known.known_before(targets)
    wanted = targets.events
    batcher = Batcher(targets.preparation, log, model.inputs)
    index = build_index(model, batcher)
    report = RetrievalReport(ks=ks, catalogue=index.items, sync_on_compute=False)
    users = np.flatnonzero(np.diff(wanted.offsets))
    unknown = nothing_known(model.inputs, targets.schema, log, users)
    bar = tqdm(
        total=len(users), desc="evaluating", unit="user", leave=False,
        disable=None if progress and world()[0] == 0 else True,
    )  # fmt: skip

    def add(chosen: np.ndarray, searched: ExactIndex, queries: torch.Tensor) -> None:
        seen = _tensors(*log.histories(chosen)) if exclude_seen else None
        items, offsets = _distinct(wanted, chosen)
        _, top, ranks = searched.search_and_rank(queries, max(ks), (items, offsets), seen)
        report.update(ranks.cpu(), offsets, top.cpu())
        bar.update(len(chosen))

    with bar:
        for chosen in _chunks(users[~unknown], chunk):
            first = wanted.offsets[chosen]
            context = {name: column[first] for name, column in wanted.context.items()}
            add(chosen, index, encode_users(model, batcher, chosen, context))
        popular = popular_index(log, np.arange(1, index.items + 1)) if unknown.any() else index
        for chosen in _chunks(users[unknown], chunk):
            add(chosen, popular, torch.ones(len(chosen), 1))
    protocol = f"{targets.protocol}; known: {known.name}; full ranking over {index.items:,} items"
    protocol += ", the user's known items left out" if exclude_seen else ""
    protocol += (
        f"; {unknown.sum():,} users without a known event get the popular items" if unknown.any() else ""
    )
    return Report({**report.compute(), "items": index.items}, protocol=protocol, part=targets.name)


def _chunks(users: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (users[start : start + size] for start in range(0, len(users), size))


def _tensors(items: np.ndarray, offsets: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(items), torch.from_numpy(offsets)


def _distinct(wanted: EventLog, users: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Each user's distinct target items, flat, and their offsets."""
    items, offsets = wanted.histories(users)
    owners = np.repeat(np.arange(len(users)), np.diff(offsets))
    pairs = np.unique(np.stack([owners, items]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(users))
    return _tensors(np.ascontiguousarray(pairs[1]), offsets_of(counts))
