"""prefetched(): the next items of an iterator made ready by a thread while the caller works."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import TypeVar

Item = TypeVar("Item")


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
    room = Semaphore(ahead)
    ready: SimpleQueue[tuple[Item] | BaseException | None] = SimpleQueue()
    ended = False

    def work() -> None:
        while True:
            room.acquire()
            if ended:
                return
            try:
                ready.put((next(source),))
            except StopIteration:
                ready.put(None)
                return
            except BaseException as error:
                ready.put(error)
                return

    def items() -> Iterator[Item]:
        while (found := ready.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            room.release()
            yield found[0]

    thread = Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        yield items()
    finally:
        ended = True
        room.release()  # wakes it up if it waits
        thread.join()
