"""Loader: every rank its share of the same steps, in an order that can be resumed anywhere."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.errors import InputError


@dataclass
class Numbers:
    """Examples whose batch is what it was made of."""

    lengths: np.ndarray

    def sizes(self):
        return self.lengths

    def weight(self, chosen, salt):
        return float(self.lengths[chosen].sum())

    def batch(self, chosen, total, rng, salt):
        return chosen.tolist(), total, rng.random()


def epoch(lengths, size, rank=0, world=1, seed=0, number=0, start=0):
    loader = Loader(Numbers(np.array(lengths)), size, rank=rank, world_size=world, seed=seed)
    batches = list(loader.epoch(number, start))
    assert len(batches) == max(len(loader) - start, 0)
    return batches


LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=70)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 2))
def test_shares_make_up_a_global_batch_that_is_the_same_on_any_number_of_ranks(lengths, size, world, number):
    if size < world or len(lengths) < world:
        return
    ranks = [epoch(lengths, size, rank, world, number=number) for rank in range(world)]
    alone = epoch(lengths, size, number=number)
    assert {len(batches) for batches in ranks} == {len(alone)}  # as many steps on every rank
    seen = []
    for step, batches in enumerate(zip(*ranks, strict=True)):
        shares = [chosen for chosen, _, _ in batches]
        whole = [example for share in shares for example in share]
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert len(whole) == size or step == len(alone) - 1  # the last is smaller, and a rank may have none
        assert sorted(alone[step][0]) == sorted(whole) and alone[step][1] == batches[0][1]
        assert {total for _, total, _ in batches} == {sum(lengths[e] for e in whole)}
        seen += whole
    assert sorted(seen) == list(range(len(lengths)))


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 3), st.integers(0, 12))
def test_an_epoch_goes_on_anywhere(lengths, size, number, start):
    assert epoch(lengths, size, number=number, start=start) == epoch(lengths, size, number=number)[start:]


def test_order_and_samples_are_functions_of_seed_and_epoch_and_samples_of_step_and_rank_too():
    first = epoch([1] * 48, 8)
    assert epoch([1] * 48, 8) == first
    for other in ({"seed": 1}, {"number": 1}):
        assert [chosen for chosen, _, _ in epoch([1] * 48, 8, **other)] != [chosen for chosen, _, _ in first]
    runs = [epoch([1] * 48, 8, rank, 2, number=n) for rank in (0, 1) for n in (0, 1)]
    assert len({sample for batches in runs for _, _, sample in batches}) == 4 * 6


def test_examples_of_like_size_share_a_batch_and_batches_come_in_any_order():
    lengths = np.random.default_rng(0).permutation(np.repeat(np.arange(16), 4))
    sizes = [lengths[chosen].tolist() for chosen, _, _ in epoch(lengths, 4)]
    assert all(len(set(own)) == 1 for own in sizes)
    assert sizes != sorted(sizes)


def test_ranks_have_like_loads():
    lengths = np.random.default_rng(0).geometric(0.02, size=1003)
    ranks = [epoch(lengths, 64, rank, 4) for rank in range(4)]
    for batches in zip(*ranks, strict=True):
        whole = lengths[[e for chosen, _, _ in batches for e in chosen]]
        loads = [lengths[chosen].sum() for chosen, _, _ in batches]
        # shares take turns along the sorted batch, so they differ by one example at most
        assert max(loads) - min(loads) <= whole.max()


def test_faults_are_explained():
    for settings_, reason in (
        ({"size": 2, "world": 3}, "global_batch_size=2 cannot feed 3 ranks; raise it"),
        ({"size": 9, "world": 3}, "2 examples cannot feed 3 ranks"),
        ({"size": 1, "seed": -1}, "seed should be at least 0"),
    ):
        with pytest.raises(InputError, match=reason):
            epoch([1] * 2, **settings_)
