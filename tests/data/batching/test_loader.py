"""Loader: every rank its share of the same steps, in an order that can be resumed anywhere."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import START, read
from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.data.batching.next_events import NextEvents
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
        assert len(whole) == size or step == len(alone) - 1
        assert sorted(alone[step][0]) == sorted(whole) and alone[step][1] == batches[0][1]
        assert {total for _, total, _ in batches} == {sum(lengths[e] for e in whole)}
        seen += whole
    assert sorted(seen) == list(range(len(lengths)))


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 3), st.integers(0, 12))
def test_an_epoch_goes_on_anywhere(lengths, size, number, start):
    assert epoch(lengths, size, number=number, start=start) == epoch(lengths, size, number=number)[start:]


def test_the_order_is_a_function_of_seed_and_epoch():
    lengths = [1] * 50
    first = epoch(lengths, 8)
    assert epoch(lengths, 8) == first
    assert epoch(lengths, 8, seed=1) != first
    assert epoch(lengths, 8, number=1) != first
    orders = [[e for chosen, _, _ in epoch(lengths, 8, number=n) for e in chosen] for n in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)


def test_what_is_sampled_differs_between_steps_ranks_and_epochs():
    lengths = [1] * 48
    runs = [epoch(lengths, 8, rank, 2, number=n) for rank in (0, 1) for n in (0, 1)]
    assert len({sample for batches in runs for _, _, sample in batches}) == 4 * 6


def test_examples_of_like_size_share_a_batch_and_batches_come_in_any_order():
    lengths = np.random.default_rng(0).permutation(np.repeat(np.arange(16), 4))
    batches = [chosen for chosen, _, _ in epoch(lengths, 4)]
    sizes = [set(lengths[chosen]) for chosen in batches]
    assert all(len(s) == 1 for s in sizes)
    order = [s.pop() for s in sizes]
    assert order != sorted(order)
    assert sorted(order) == list(range(16))


def test_ranks_have_like_loads():
    lengths = np.random.default_rng(0).geometric(0.02, size=1003)
    ranks = [epoch(lengths, 64, rank, 4) for rank in range(4)]
    for batches in zip(*ranks, strict=True):
        whole = lengths[[e for chosen, _, _ in batches for e in chosen]]
        loads = [lengths[chosen].sum() for chosen, _, _ in batches]
        # shares take turns along the sorted batch, so they differ by one example at most
        assert max(loads) - min(loads) <= whole.max()


def test_a_smaller_batch_comes_last_of_which_a_rank_may_have_no_example():
    assert [len(chosen) for chosen, _, _ in epoch([3, 1], 3)] == [2]
    ranks = [epoch([1] * 7, 3, rank, world=3) for rank in range(3)]  # batches of 3, 3 and 1
    lengths = [[len(chosen) for chosen, _, _ in batches] for batches in ranks]
    assert lengths == [[1, 1, 1], [1, 1, 0], [1, 1, 0]]
    assert [total for batches in ranks for _, total, _ in batches] == [3.0, 3.0, 1.0] * 3


def test_faults_are_explained():
    for settings_, reason in (
        ({"size": 2, "world": 3}, "global_batch_size must be at least the number of ranks, 3; received 2"),
        ({"size": 9, "world": 3}, "2 training examples cannot feed 3 ranks"),
        ({"size": 1, "seed": -1}, "seed should be at least 0"),
    ):
        with pytest.raises(InputError, match=reason):
            epoch([1] * 2, **settings_)


# Batches of windows, tensor for tensor.


def loader(rank=0, world=1, seed=0, kind="sampled"):
    rng = np.random.default_rng(0)
    rows = [
        (u, int(i), START + n)
        for u in range(40)
        for n, i in enumerate(rng.integers(1, 30, rng.integers(4, 20)))
    ]
    train = leave_last_out(read(rows), min_count=3)[0]
    counts = np.bincount(train.events.items, minlength=train.schema.table("item").rows)[1:]
    examples = NextEvents(train, Inputs(max_length=6, candidates=True), Candidates(kind, counts, 8))
    return Loader(examples, 12, rank=rank, world_size=world, seed=seed)


def tensors(batch):
    found = {"history": batch.sequences.values(), "lengths": batch.sequences.lengths()}
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, torch.Tensor):
            found[field.name] = value
    return found


def test_a_resumed_epoch_has_the_same_tensors():
    whole = list(loader(rank=1, world=2).epoch(3))
    tail = list(loader(rank=1, world=2).epoch(3, start=4))
    assert len(tail) == len(whole) - 4 > 2
    for one, other in zip(whole[4:], tail, strict=True):
        expected, found = tensors(one), tensors(other)
        assert expected.keys() == found.keys() >= {"labels", "log_q", "total", "history_times"}
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_total_is_the_number_of_known_targets_over_all_ranks(world):
    ranks = [list(loader(rank, world, kind="in_batch").epoch(0)) for rank in range(world)]
    for batches in zip(*ranks, strict=True):
        known = sum(int((batch.labels >= 0).sum()) for batch in batches)
        assert [batch.total.item() for batch in batches] == [known] * world
        assert known > 0
        assert batches[0].total.dtype == torch.float64
