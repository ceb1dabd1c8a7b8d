"""The contenders of batching.py: our batches, row-by-row builders, and a training step."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from row_by_row import Lists, Padded, Rows
from torch.utils.data import DataLoader

from torchrec_ext.batch import Batch
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.models import Ranker, TwoTower, task_for
from torchrec_ext.training.optimizers import make_optimizer

if TYPE_CHECKING:
    from batching import Settings  # which imports this file

CONTEXT = ("context_weekday", "context_hour", "context_device")
Step = Callable[[int], Any]


@dataclass(frozen=True)
class Workload:
    """One kind of examples, and what is timed with it.

    Args:
        examples: ``LastEvents`` or ``LabelledEvents``.
        actions: contender -> builds one batch, or trains one step.
        mean_history: mean number of events of a history.
        first_seconds: time until our first batch of an epoch, which includes the order of the epoch.
    """

    examples: str
    actions: dict[str, Step]
    mean_history: float
    first_seconds: float


def training_part(settings: "Settings") -> Dataset:
    """A log in which users alternate and items follow Zipf's law, with three context columns."""
    rng = np.random.default_rng(settings.seed)
    number = settings.users * settings.events
    frame = pd.DataFrame({
        "user": np.tile(np.arange(settings.users), settings.events),
        "item": rng.zipf(1.2, number) % settings.items,
        "rating": rng.integers(1, 6, number),
        "timestamp": 1_600_000_000 + 60 * np.arange(number),
        "weekday": rng.integers(0, 7, number),
        "hour": rng.integers(0, 24, number),
        "device": rng.integers(0, 4, number),
    })  # fmt: skip
    return leave_last_out(read_events(frame, context=["weekday", "hour", "device"]))[0]


def workloads(train: Dataset, settings: "Settings") -> list[Workload]:
    """A retriever and a ranker, both of which read history and context.

    Raises:
        InputError: if a builder returns a batch that differs from ours.
    """
    items = train.schema.table("item").rows
    counts = np.bincount(train.events.items, minlength=items)[1:]
    torch.manual_seed(settings.seed)
    tower = TwoTower(train.schema, settings.dim, "gru", CONTEXT, max_length=settings.history)
    ranker = Ranker(
        train.schema, settings.dim, CONTEXT, "dot", target_attention="din", max_length=settings.history
    )
    drawn = Candidates("sampled", counts, settings.sampled)
    made: list[tuple[str, Any, Any]] = [
        ("LastEvents", tower, LastEvents(train, tower.inputs, drawn)),
        ("LabelledEvents", ranker, LabelledEvents(train, train, ranker.inputs)),
    ]
    lists = Lists(train.events, settings.history)
    rows = Rows(train.events, settings.history)
    found = []
    for kind, model, examples in made:
        compare(examples, lists, settings)
        loader = Loader(examples, settings.batch, seed=settings.seed)
        ours = _each(loader.epoch)
        began = time.perf_counter()
        ours(0)  # the order of an epoch is computed once, and would look like a slow batch
        first = time.perf_counter() - began
        actions: dict[str, Step] = {
            "ours": ours,
            "lists": _each(lambda epoch: map(lists, _orders(len(train), epoch, settings))),
            "DataLoader": _each(lambda epoch: iter(DataLoader(rows, settings.batch, shuffle=True))),
            "training": _training(model, loader, settings),
        }
        found.append(Workload(kind, actions, float(np.mean(examples.sizes())), first))
    return found


def compare(examples: Any, lists: Lists, settings: "Settings") -> None:
    """Checks that the builders return the same batch.

    Raises:
        InputError: if they do not, with the name of the tensor that differs.
    """
    chosen = next(_orders(len(examples.sizes()), 0, settings))
    ours = examples.batch(chosen, 1.0, np.random.default_rng(0), 0)
    theirs = lists(chosen if isinstance(examples, LabelledEvents) else examples.events[chosen])
    for name, tensor in vars(padded(ours)).items():
        if not torch.equal(tensor, getattr(theirs, name)):
            raise InputError(f"{name} of {type(examples).__name__} differs between the builders: fix them")


def padded(batch: Batch) -> Padded:
    """One of our batches in the format of the other builders."""
    history = batch.sequences["history"]
    lengths_B = history.lengths()
    inside_BT = torch.arange(int(lengths_B.max())) < lengths_B.unsqueeze(1)
    assert batch.history_times is not None and batch.labels is not None
    items_BT = torch.zeros(inside_BT.shape, dtype=torch.int64)
    times_BT = torch.zeros(inside_BT.shape, dtype=torch.float64)
    items_BT[inside_BT], times_BT[inside_BT] = history.values(), batch.history_times
    candidates = batch.sequences["candidates"].values()
    return Padded(
        items_BT,
        times_BT,
        lengths_B,
        torch.stack([batch.fields[name].values() for name in CONTEXT], 1),
        candidates if batch.labels.dim() == 2 else candidates[batch.labels],
    )


def _each(epoch: Callable[[int], Iterator[Any]]) -> Step:
    """A step that takes the next full batch, from the next epoch when one ends."""
    batches = (batch for number in count() for batch in epoch(number))
    return lambda _: next(batches)


def _orders(number: int, epoch: int, settings: "Settings") -> Iterator[np.ndarray]:
    """Numbers of the examples of each full batch of an epoch."""
    order = np.random.default_rng((settings.seed, epoch)).permutation(number)
    whole = number // settings.batch * settings.batch
    return iter(order[:whole].reshape(-1, settings.batch))


def _training(model: Any, loader: Loader, settings: "Settings") -> Step:
    """A training step on batches that are built beforehand: forward, backward, both optimizers."""
    ready = [batch for batch, _ in zip(loader.epoch(0), range(8), strict=False)]
    dmp = shard(task_for(model), batch_size=settings.batch)
    initialise_tables(model, settings.seed)
    optimizer = make_optimizer(dmp, 1e-3)
    dmp.train()

    def step(number: int) -> None:
        optimizer.zero_grad()
        loss, _ = dmp(ready[number % len(ready)])
        loss.backward()
        optimizer.step()

    return step
