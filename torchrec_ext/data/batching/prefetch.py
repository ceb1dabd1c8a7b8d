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
    """Gives the items of ``source``, of which a thread makes up to ``ahead`` before they are asked for.

    The items and their order are those of the source. What the source raises is raised where its item
    would have come. The thread ends with the block, however that ends. A thread is enough: NumPy lets
    others run while it copies and sorts, and what it copies need not travel between processes.

    Args:
        source: is read by the thread alone from now on.
        ahead: items that are ready or in the making at any time; 0 makes each when it is asked for.

    Example:
        >>> with prefetched(iter(["a", "b", "c"]), ahead=2) as letters:
        ...     print(*letters)
        a b c
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
