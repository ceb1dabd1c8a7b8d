"""Loader: every rank its share of the same steps, resumed anywhere; prefetched(): made ahead by a thread."""

import contextlib
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.data.batching.prefetch import prefetched
from torchrec_ext.errors import InputError


def epoch(lengths, size, rank=0, world=1, seed=0, number=0, start=0):
    """The batches of examples whose batch is what it was made of."""
    lengths = np.array(lengths)
    examples = SimpleNamespace(
        sizes=lambda: lengths,
        weight=lambda chosen, salt: float(lengths[chosen].sum()),
        batch=lambda chosen, total, rng, salt: (chosen.tolist(), total, rng.random()),
    )
    loader = Loader(examples, size, rank=rank, world_size=world, seed=seed)
    batches = list(loader.epoch(number, start))
    assert len(batches) == max(len(loader) - start, 0)
    return batches


LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=70)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 2))
def test_shares_make_up_a_global_batch_that_is_the_same_on_any_number_of_ranks(lengths, size, world, number):
    if size < world or len(lengths) < world:
        return
    alone = epoch(lengths, size, number=number)
    ranks = [epoch(lengths, size, rank, world, number=number) for rank in range(world)]
    for (whole, total, _), *batches in zip(alone, *ranks, strict=True):  # as many steps on every rank
        shares = [chosen for chosen, _, _ in batches]
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert sorted(whole) == sorted(example for share in shares for example in share)
        assert {total, *(of_rank for _, of_rank, _ in batches)} == {sum(lengths[e] for e in whole)}
    assert {len(whole) for whole, _, _ in alone[:-1]} <= {size}  # the last is smaller
    assert sorted(e for whole, _, _ in alone for e in whole) == list(range(len(lengths)))


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
    for batches in zip(*(epoch(lengths, 64, rank, 4) for rank in range(4)), strict=True):
        loads = [lengths[chosen].sum() for chosen, _, _ in batches]
        # shares take turns along the sorted batch, so they differ by one example at most
        assert max(loads) - min(loads) <= max(lengths[chosen].max() for chosen, _, _ in batches)


@pytest.mark.parametrize(
    ("size", "world", "seed", "reason"),
    [
        (2, 3, 0, "global_batch_size=2 cannot feed 3 ranks; raise it"),
        (9, 3, 0, "2 examples cannot feed 3 ranks"),
        (1, 1, -1, "seed should be at least 0"),
    ],
)
def test_faults_are_explained(size, world, seed, reason):
    with pytest.raises(InputError, match=reason):
        epoch([1] * 2, size, world=world, seed=seed)


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
@pytest.mark.parametrize("error", [ValueError("three"), KeyboardInterrupt()])
def test_items_come_in_order_and_an_error_where_its_item_would_have(ahead, error):
    def source():
        yield from range(3)
        raise error

    with prefetched(iter(range(5)), ahead) as numbers:
        assert [*numbers] == [0, 1, 2, 3, 4] and next(numbers, "none") == "none", "and stays at its end"
    with pytest.raises(type(error)) as raised, prefetched(source(), ahead) as numbers:
        assert [next(numbers) for _ in range(3)] == [0, 1, 2]
        next(numbers)
    assert raised.value is error and "source" in [frame.name for frame in raised.traceback]


@pytest.mark.parametrize("ahead", [1, 3])
def test_so_many_are_made_ahead_and_no_more(ahead):
    is_made = threading.Semaphore(0)

    def source():
        for number in range(9):
            is_made.release()
            yield number

    with prefetched(source(), ahead) as numbers:
        for taken in range(4):
            for _ in range(1 if taken else ahead):
                assert is_made.acquire(timeout=20), "is made without being asked for"
            assert not is_made.acquire(timeout=0.05)
            assert next(numbers) == taken


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit, None])
@pytest.mark.parametrize("items", [range(10**9), range(1), ()])
def test_the_thread_ends_with_the_block_however_it_ends(error, items):
    before = threading.active_count()
    raises = pytest.raises(error) if error else contextlib.nullcontext()
    with raises, prefetched(iter(items), 2) as numbers:
        next(numbers, None)
        assert threading.active_count() == before + 1
        if error:
            raise error
    assert threading.active_count() == before
