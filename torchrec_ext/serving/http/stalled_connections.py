"""StalledConnections: closes connections whose client neither sends nor reads."""

import time
from collections.abc import Callable, Iterable
from typing import Any


class StalledConnections:
    """Closes the connections that wait for their client for too long.

    uvicorn ends a connection that stays idle after an answer, but waits without end for the first request,
    the rest of a head, or a client that does not read, so that connections which cost a client nothing would
    use up the service's file descriptors.

    Args:
        connections: of uvicorn, which it adds to and removes from.
        seconds: how long the client may take for a head, or to read what was sent.
        clock: seconds that pass.
    """

    def __init__(
        self, connections: Iterable[Any], seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.connections, self.seconds, self.clock = connections, seconds, clock
        self._since: dict[tuple[Any, Any], float] = {}

    async def close(self) -> None:
        """Closes those that have waited through every call for so long; call it often."""
        now = self.clock()
        waiting = [(c, c.cycle) for c in self.connections if _waits_for_client(c)]
        self._since = {key: self._since.get(key, now) for key in waiting}  # another request: another cycle
        for (connection, _), since in self._since.items():
            if now - since > self.seconds:
                connection.transport.abort()


def _waits_for_client(connection: Any) -> bool:
    return connection.cycle is None or connection.cycle.response_complete or connection.flow.write_paused
