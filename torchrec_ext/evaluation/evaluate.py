"""evaluate(): the figures of a model on a part of a split."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from torchrec_ext import contracts
from torchrec_ext.data.batches import Batcher
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.labelled_events import LabelledEvents
from torchrec_ext.data.slices import slice_positions
from torchrec_ext.distributed import world
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation.report import Report
from torchrec_ext.metrics import BinaryReport, RetrievalReport
from torchrec_ext.retrieval.encode import build_index, encode_users, inference
from torchrec_ext.retrieval.score_pairs import score_pairs


def evaluate(
    model: nn.Module,
    known: Dataset,
    targets: Dataset,
    k: Sequence[int] = (10, 50),
    *,
    exclude_seen: bool = True,
    positive: float = 4.0,
    chunk: int = 1024,
    progress: bool = False,
) -> Report:
    """Evaluates a retriever in full ranking, a ranker on labelled pairs; every rank must call it.

    Retrieval: a user's targets are all of the user's events in ``targets``; the history ends before
    the first of them. Every item of the catalogue is ranked, but those the user has an event with in
    ``known``; ties go to the lower row. A target that is left out so, or that the catalogue does not
    have, counts as not found.

    Args:
        model: sharded: trained by fit or opened by load.
        known: the events that histories and seen items are taken from, such as ``train``, or
            ``train + valid`` before the test.
        targets: the events to predict.
        k: list lengths, for a retriever.
        exclude_seen: see above; False where items are taken again and again.
        positive: least rating of an interested user, for a ranker.
        chunk: users at a time.
        progress: shows a bar on rank 0.

    Returns:
        The figures by name; the same on every rank.

    Raises:
        InputError: for a list longer than the catalogue.

    Sources:
        Definitions: :class:`torchrec_ext.metrics.RetrievalReport` and ``BinaryReport``.
    """
    with inference(model):
        if isinstance(model, contracts.Ranker):
            return _evaluate_ranker(model, known, targets, positive, progress)
        if isinstance(model, contracts.Retriever):
            return _evaluate_retriever(model, known, targets, tuple(k), exclude_seen, chunk, progress)
    raise InputError(f"model must be a Ranker or a Retriever, received a {type(model).__name__}")


def _evaluate_ranker(
    model: nn.Module, known: Dataset, targets: Dataset, positive: float, progress: bool
) -> Report:
    examples = LabelledEvents(targets, known, model.inputs, positive)  # type: ignore[arg-type]
    log = targets.events
    scores = score_pairs(
        model, examples.batcher, examples.users, examples.ends, log.items, log.context, progress=progress
    )
    report = BinaryReport(sync_on_compute=False)
    report.update(scores, torch.from_numpy(examples.labels))
    return Report(
        report.compute(), protocol=f"{targets.protocol}; labels: rating >= {positive:g}", part=targets.name
    )


def _evaluate_retriever(
    model: contracts.Retriever,
    known: Dataset,
    targets: Dataset,
    ks: tuple[int, ...],
    exclude_seen: bool,
    chunk: int,
    progress: bool,
) -> Report:
    log, ends = known.known_before(targets)
    batcher = Batcher(targets.preparation, log, model.inputs)
    index = build_index(model, batcher)
    wanted = targets.events
    users = np.flatnonzero(np.diff(wanted.offsets))
    report = RetrievalReport(ks=ks, catalogue=index.items, sync_on_compute=False)
    bar = tqdm(
        range(0, len(users), chunk),
        "evaluating",
        unit="step",
        disable=None if progress and world()[0] == 0 else True,
        leave=False,
    )
    for start in bar:
        chosen = users[start : start + chunk]
        first = wanted.offsets[chosen]
        context = {name: column[first] for name, column in wanted.context.items()}
        queries = encode_users(model, batcher, chosen, ends[first], **context)
        items, offsets = _distinct(wanted, chosen)
        exclude = _seen(log, chosen, ends[first]) if exclude_seen else None
        _, top, ranks = index.search_and_rank(queries, max(ks), (items, offsets), exclude)
        report.update(ranks.cpu(), offsets, top.cpu())
    protocol = f"{targets.protocol}; full ranking over {index.items:,} items" + (
        ", the user's earlier items left out" if exclude_seen else ""
    )
    return Report({**report.compute(), "items": index.items}, protocol=protocol, part=targets.name)


def _seen(log: EventLog, users: np.ndarray, ends: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    starts = log.offsets[users]
    offsets = np.concatenate([[0], np.cumsum(ends - starts)])
    return torch.from_numpy(log.items[slice_positions(starts, ends)]), torch.from_numpy(offsets)


def _distinct(wanted: EventLog, users: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Each user's distinct target items, flat, and their offsets."""
    items, offsets = wanted.histories(users)
    pairs = np.unique(np.stack([np.repeat(np.arange(len(users)), np.diff(offsets)), items]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(users))
    return torch.from_numpy(np.ascontiguousarray(pairs[1])), torch.from_numpy(
        np.concatenate([[0], np.cumsum(counts)])
    )
