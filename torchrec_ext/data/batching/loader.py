"""Loader: training examples in a seeded order, each global batch shared over the ranks."""

from collections.abc import Iterator

import numpy as np

from torchrec_ext.batch import Batch
from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.batching.examples import Examples
from torchrec_ext.errors import InputError, NothingToLearn

_BUCKET = 32
"""Global batches whose examples are sorted together: this pads little and stays random."""


class Loader:
    """Iterates over examples, one rank's share of each global batch at a time.

    The order is a function of seed and epoch, and each step's sample of seed, epoch, step and rank, so a run
    goes on at the exact next batch. Steps and global batches are the same for any number of ranks. Examples
    of like size share a batch, evenly over the ranks. A smaller batch comes last, of which a rank may have
    no example (B = 0). InputError if the batch size or the number of examples is below that of the ranks.

    Args:
        examples: the training examples.
        global_batch_size: examples a step over all ranks.
        rank: of this process.
        world_size: number of processes.
        seed: of order and samples.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.batch import Inputs
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> from torchrec_ext.data.batching.labelled_events import LabelledEvents
        >>> ratings = pd.DataFrame({"user": [1] * 7, "item": list("abcdefg"), "rating": [5, 1] * 3 + [5]})
        >>> train = leave_last_out(read_events(ratings))[0]
        >>> examples = LabelledEvents(train, train, Inputs(fields=("user",)))
        >>> [len(batch.labels) for batch in Loader(examples, global_batch_size=2).epoch(0)]
        [2, 2, 1]
    """

    def __init__(
        self, examples: Examples, global_batch_size: int, *, rank: int = 0, world_size: int = 1, seed: int = 0
    ) -> None:
        expect_at_least(0, seed=seed)
        self.examples, self.global_batch_size = examples, global_batch_size
        self.rank, self.world_size, self.seed = rank, world_size, seed
        sizes = examples.sizes()
        self.count = len(sizes)
        # the narrowest integers, since these are sorted in every epoch, and 16 bits sort in linear time
        self._sizes = sizes.astype(np.min_scalar_type(sizes.max(initial=0)), copy=False)
        if global_batch_size < world_size:
            raise InputError(
                f"global_batch_size={global_batch_size} cannot feed {world_size} ranks; raise it"
            )
        if self.count < world_size:
            raise NothingToLearn(
                f"{self.count} examples cannot feed {world_size} ranks; add data or use fewer ranks"
            )

    def __len__(self) -> int:
        """Steps an epoch."""
        return -(-self.count // self.global_batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This rank's share of the batches of an epoch, counted from 0, from step ``start`` on."""
        batches = self._order(epoch)
        for step in range(start, len(self)):
            whole = batches[step]
            # every world_size-th, since neighbours are of like size
            share = whole[self.rank :: self.world_size]
            rng = np.random.default_rng((self.seed, epoch, step, self.rank, 1))
            salt = int(np.random.SeedSequence((self.seed, epoch, step, 2)).generate_state(1, np.uint64)[0])
            yield self.examples.batch(share, self.examples.weight(whole, salt), rng, salt)

    def _order(self, epoch: int) -> list[np.ndarray]:
        """The examples of each global batch."""
        rng, size = np.random.default_rng((self.seed, epoch, 0)), self.global_batch_size
        order, whole = rng.permutation(self.count), self.count // size * size
        bounds = [*range(0, whole, size * _BUCKET), whole, self.count]
        for bucket in map(slice, bounds[:-1], bounds[1:]):  # those of one size keep their order
            order[bucket] = order[bucket][np.argsort(self._sizes[order[bucket]], kind="stable")]
        full = order[:whole].reshape(-1, size)
        return [*(full[place] for place in rng.permutation(len(full))), order[whole:]]
