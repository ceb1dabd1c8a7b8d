"""prefetched(): the next items of an iterator made ready by a thread while the caller works."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
_END: Any = object()


@contextmanager
def prefetched(source: Iterator[Item], ahead: int) -> Iterator[Iterator[Item]]:
    """The items of ``source``, of which a thread makes up to ``ahead`` before they are asked for.

    What the source raises is raised where its item would have come; the thread ends with the block. A thread
    is enough: NumPy lets others run while it works, and its arrays need not travel between processes.
    """
    if not ahead:
        yield source
        return
    with ThreadPoolExecutor(1, "prefetch") as thread:
        made = deque(thread.submit(next, source, _END) for _ in range(ahead))

        def items() -> Iterator[Item]:
            while (found := made.popleft().result()) is not _END:
                made.append(thread.submit(next, source, _END))
                yield found

        try:
            yield items()
        finally:
            thread.shutdown(cancel_futures=True)
