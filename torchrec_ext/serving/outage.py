"""Outage: the errors of a server that is away, as StoreErrors; for a moment afterwards at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from torchrec_ext.serving.event_store import StoreError


class Outage:
    """Remembers for a moment that a server has failed, so that callers in a row do not each wait for it.

    Args:
        server: what fails, in words.
        errors: those of its client.
        seconds: for how long calls fail at once after one has failed.

    Example:
        >>> redis = Outage("the users (Redis) cannot be read", (OSError,))
        >>> with redis.reported():
        ...     raise OSError("connection refused by 10.0.0.1")
        Traceback (most recent call last):
        torchrec_ext.serving.event_store.StoreError: the users (Redis) cannot be read now; try again
    """

    def __init__(self, server: str, errors: tuple[type[Exception], ...], seconds: float = 1) -> None:
        self._message, self._errors, self._seconds = f"{server} now; try again", errors, seconds
        self._until = 0.0

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Raises a StoreError in place of the client's errors, which name addresses."""
        if time.monotonic() < self._until:
            raise StoreError(self._message)
        try:
            yield
        except self._errors:
            self._until = time.monotonic() + self._seconds
            raise StoreError(self._message) from None
