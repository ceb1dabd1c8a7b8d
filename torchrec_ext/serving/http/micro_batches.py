"""MicroBatches: requests that wait while others are computed are computed together."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class MicroBatches(Generic[Request, Answer]):
    """Computes in one thread what an event loop asks for, as many requests at a time as wait.

    Nothing waits for others to arrive: a single request is computed at once.

    Args:
        compute: the answer or the error of each of several requests. If it fails for several, each is
            computed alone, so that one request cannot fail another.
        most: requests that are computed together.
        observe: is called with the number of requests of each batch.

    Example:
        >>> async def main():
        ...     with MicroBatches(lambda numbers: [2 * number for number in numbers]) as double:
        ...         return await asyncio.gather(double(1), double(2))
        >>> asyncio.run(main())
        [2, 4]
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Request]], Sequence[Answer | Exception]],
        most: int = 64,
        observe: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._compute, self._most, self._observe = compute, most, observe
        self._waiting: queue.SimpleQueue[tuple[Request, asyncio.Future[Answer]] | None] = queue.SimpleQueue()

    def __enter__(self) -> "MicroBatches[Request, Answer]":
        self._thread = threading.Thread(target=self._work, name="micro-batches", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Computes what still waits, and ends the thread."""
        self._waiting.put(None)
        self._thread.join()

    async def __call__(self, request: Request) -> Answer:
        """The answer to a request, or its error."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.put((request, future))
        return await future

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, last = [first], False
            while len(batch) < self._most and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    last = True
                    break
                batch.append(following)
            self._observe(len(batch))
            answers = self._answers([request for request, _ in batch])
            futures = [future for _, future in batch]
            futures[0].get_loop().call_soon_threadsafe(_deliver, futures, answers)
            if last:
                return

    def _answers(self, requests: Sequence[Request]) -> Sequence[Answer | Exception]:
        try:
            return self._compute(requests)
        except Exception as error:  # every request of the batch gets it
            if len(requests) == 1:
                return [error]
            return [self._answers([request])[0] for request in requests]


def _deliver(futures: Sequence[asyncio.Future[Answer]], answers: Sequence[Answer | Exception]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.cancelled():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
