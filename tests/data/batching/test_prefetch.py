"""prefetched(): the source's items in its order, so many ahead, and no thread that outlives its block."""

import contextlib
import itertools
import threading

import pytest

from torchrec_ext.data.batching.prefetch import prefetched


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
@pytest.mark.parametrize("error", [ValueError("three"), KeyboardInterrupt()])
def test_items_come_in_order_and_an_error_where_its_item_would_have(ahead, error):
    def source():
        yield from range(3)
        raise error

    with prefetched(iter(range(5)), ahead) as numbers:
        assert [*numbers] == [0, 1, 2, 3, 4]
        assert next(numbers, "none") == "none", "and stays at its end"
    with pytest.raises(type(error)) as raised, prefetched(source(), ahead) as numbers:
        assert [next(numbers) for _ in range(3)] == [0, 1, 2]
        next(numbers)
    assert raised.value is error and "source" in [frame.name for frame in raised.traceback]


@pytest.mark.parametrize("ahead", [1, 3])
def test_so_many_are_made_ahead_and_no_more(ahead):
    made, is_made = [], threading.Semaphore(0)

    def source():
        for number in range(9):
            made.append(number)
            is_made.release()
            yield number

    with prefetched(source(), ahead) as numbers:
        for taken in range(4):
            for _ in range(ahead if taken == 0 else 1):
                assert is_made.acquire(timeout=20), "is made without being asked for"
            assert not is_made.acquire(timeout=0.05)
            assert len(made) == taken + ahead
            assert next(numbers) == taken


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit, None])
def test_the_thread_ends_with_the_block_however_it_ends(error):
    for source in (itertools.count(), iter(range(1)), iter(())):
        raises = pytest.raises(error) if error else contextlib.nullcontext()
        with raises, prefetched(source, 2) as items:
            next(items, None)
            assert len(threads()) == 1
            if error:
                raise error
        assert threads() == []
