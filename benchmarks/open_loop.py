"""Requests over HTTP at a given rate, whether or not earlier ones are answered."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Answers:
    """What became of the requests.

    Args:
        offered: requests a second.
        seconds: that they were offered for.
        by_status: milliseconds of each request from the moment it was due, by the status of its answer; 0 for
            a connection that failed.
    """

    offered: float
    seconds: float
    by_status: dict[int, list[float]] = field(default_factory=dict)

    def count(self, status: int) -> int:
        """Requests with an answer of that status."""
        return len(self.by_status.get(status, ()))

    def milliseconds(self, percent: float) -> float:
        """A percentile of the time of accepted requests."""
        return float(np.percentile(self.by_status.get(200) or [np.nan], percent))


async def offer(host: str, port: int, request: Callable[[], bytes], rate: float, seconds: float) -> Answers:
    """Sends requests at a rate, each at its moment, over as many connections as are open.

    Args:
        host: of the service.
        port: of the service.
        request: makes the bytes of a request, head and body.
        rate: requests a second.
        seconds: for how long.
    """
    answers, idle, loop = Answers(rate, seconds), _Connections(host, port), asyncio.get_running_loop()
    begin, tasks = loop.time(), set()
    for number in range(round(rate * seconds)):
        due = begin + number / rate
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        task = loop.create_task(_one(idle, request(), due, answers))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    idle.close()
    return answers


async def saturate(
    host: str, port: int, request: Callable[[], bytes], clients: int, seconds: float
) -> Answers:
    """The same by clients who each send the next request when the last is answered."""
    answers, idle, loop = Answers(0, seconds), _Connections(host, port), asyncio.get_running_loop()
    end = loop.time() + seconds

    async def client() -> None:
        while loop.time() < end:
            await _one(idle, request(), loop.time(), answers)

    await asyncio.gather(*(client() for _ in range(clients)))
    idle.close()
    answers.offered = sum(map(len, answers.by_status.values())) / seconds
    return answers


async def _one(idle: "_Connections", request: bytes, due: float, answers: Answers) -> None:
    status = 0
    try:
        reader, writer = await idle.take()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        idle.give(reader, writer)
    except (OSError, asyncio.IncompleteReadError):
        status = 0
    taken = 1000 * (asyncio.get_running_loop().time() - due)
    answers.by_status.setdefault(status, []).append(taken)


class _Connections:
    """Connections that no request is using."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def take(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()  # the service has closed it, as it was idle
        return await asyncio.open_connection(self.host, self.port)

    def give(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._idle.append((reader, writer))

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()


def post(path: str, body: bytes) -> bytes:
    """The bytes of a request with a body of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
