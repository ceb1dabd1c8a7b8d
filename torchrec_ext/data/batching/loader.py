"""Loader: training examples in a seeded order, each global batch shared over the ranks."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from torchrec_ext.batch import Batch
from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError

_BUCKET = 32
"""Global batches whose examples are sorted together: this pads little and stays random."""


class Examples(Protocol):
    """Training examples that can be batched by number."""

    def sizes(self) -> np.ndarray:
        """(n,) int64 number of events of each example, by which batches are bucketed."""

    def learnt_preparation(self) -> Preparation:
        """The preparation of the training part, which knows the ids that the examples hold."""

    def weight(self, chosen: np.ndarray, salt: int) -> float:
        """Summed weight of the labels of the chosen examples in the step of this salt."""

    def batch(self, chosen: np.ndarray, total: float, rng: np.random.Generator, salt: int) -> Batch:
        """The batch of (B,) chosen examples of a global batch of weight ``total``.

        ``rng`` is the source of what a rank draws for itself, ``salt`` the seed of what is drawn for an
        example, the same on whichever rank has it.
        """


class Loader:
    """Iterates over examples, one rank's share of each global batch at a time.

    The order is a function of seed and epoch, and each step's sample of seed, epoch, step and rank, so a run
    goes on at the exact next batch. Steps and global batches are the same for any number of ranks. Examples
    of like size share a batch, evenly over the ranks. A smaller batch comes last, of which a rank may have
    no example (B = 0).

    Args:
        examples: the training examples.
        global_batch_size: examples a step over all ranks.
        rank: of this process.
        world_size: number of processes.
        seed: of order and samples.

    Raises:
        InputError: if the batch size or the number of examples is smaller than the number of ranks.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.batch import Inputs
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> from torchrec_ext.data.batching.labelled_events import LabelledEvents
        >>> stars = [5, 1, 5, 1, 5, 1, 5]
        >>> ratings = pd.DataFrame({"user": [1] * 7, "item": list("abcdefg"), "rating": stars})
        >>> train, valid, test = leave_last_out(read_events(ratings))
        >>> examples = LabelledEvents(train, train, Inputs(fields=("user", "item")))
        >>> [len(batch.labels) for batch in Loader(examples, global_batch_size=2).epoch(0)]
        [2, 2, 1]
    """

    def __init__(
        self, examples: Examples, global_batch_size: int, *, rank: int = 0, world_size: int = 1, seed: int = 0
    ) -> None:
        expect_at_least(0, seed=seed)
        self.examples = examples
        self.global_batch_size = global_batch_size
        self.rank, self.world_size, self.seed = rank, world_size, seed
        sizes = examples.sizes()
        count = self.count = len(sizes)
        # the narrowest integers, since these are sorted in every epoch, and 16 bits sort in linear time
        self._sizes = sizes.astype(np.min_scalar_type(sizes.max(initial=0)), copy=False)
        if global_batch_size < world_size:
            raise InputError(
                f"global_batch_size must be at least the number of ranks, {world_size}; "
                f"received {global_batch_size}"
            )
        if count < world_size:
            raise InputError(
                f"{count} training examples cannot feed {world_size} ranks; give more data or fewer ranks"
            )
        self.steps = -(-count // global_batch_size)

    def __len__(self) -> int:
        """Steps an epoch."""
        return self.steps

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This rank's share of the batches of an epoch, counted from 0, from step ``start`` on."""
        batches = self._order(epoch)
        for step in range(start, self.steps):
            whole = batches[step]
            # every world_size-th, since neighbours are of like size
            share = whole[self.rank :: self.world_size]
            rng = np.random.default_rng((self.seed, epoch, step, self.rank, 1))
            salt = int(np.random.SeedSequence((self.seed, epoch, step, 2)).generate_state(1, np.uint64)[0])
            yield self.examples.batch(share, self.examples.weight(whole, salt), rng, salt)

    def _order(self, epoch: int) -> list[np.ndarray]:
        """The examples of each global batch."""
        rng = np.random.default_rng((self.seed, epoch, 0))
        order = rng.permutation(self.count)
        size = self.global_batch_size
        whole = self.count // size * size
        bounds = [*range(0, whole, size * _BUCKET), whole, self.count]
        for bucket in map(slice, bounds[:-1], bounds[1:]):  # those of one size keep their order
            order[bucket] = order[bucket][np.argsort(self._sizes[order[bucket]], kind="stable")]
        full = order[:whole].reshape(-1, size)
        return [*(full[place] for place in rng.permutation(len(full))), order[whole:]]
