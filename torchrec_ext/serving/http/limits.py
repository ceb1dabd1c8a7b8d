"""Limits of what a service takes on: requests in flight, and bytes and seconds of a body."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from torchrec_ext.serving.http.errors import error_answer, overloaded

UNLIMITED = frozenset({"/health", "/ready", "/metrics", "/", "/docs", "/openapi.json"})
"""What costs nearly nothing, like the files of the page."""
_BODY_SECONDS = 10.0
_BUSY = "too many requests at a time; come again"
_MOST_BODIES = 256
"""That are read at a time."""
_MOST_READ = 32 * 2**20


class Places:
    """How many requests of each kind are being answered, and may be.

    Requests with events wait for the disk and are stored together, and those with items wait for each other:
    of these kinds more may be answered at a time than of those that wait for the processor.

    Args:
        most: requests that are answered at a time; four times as many of events, and of items.
    """

    def __init__(self, most: int) -> None:
        self.most = {"events": 4 * most, "items": 4 * most, "others": most}
        self.taken = {"events": 0, "items": 0, "others": 0}

    def kind(self, path: str) -> str | None:
        """The kind of the requests to a path; None of those without a limit."""
        if path in UNLIMITED or path.startswith("/page/"):
            return None
        return path[1:] if path in ("/events", "/items") else "others"

    def is_full(self, scope: Scope) -> bool:
        """Whether a request has to be refused."""
        kind = self.kind(scope["path"])
        return kind is not None and self.taken[kind] >= self.most[kind]


class InFlight:
    """Refuses a request at once while as many others are being answered.

    A short queue keeps the times of those that are accepted; the client should come again later.

    Args:
        app: what answers.
        places: of the requests.
    """

    def __init__(self, app: ASGIApp, places: Places) -> None:
        self.app, self.places = app, places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it with 503."""
        kind = self.places.kind(scope["path"]) if scope["type"] == "http" else None
        if kind is None:
            return await self.app(scope, receive, send)
        if self.places.is_full(scope):
            return await overloaded(_BUSY)(scope, receive, send)
        self.places.taken[kind] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.places.taken[kind] -= 1


class BodyLimit:
    """Reads the body of a request, and refuses a larger one with 413 and a slower one with 408.

    Args:
        app: what answers.
        most_bytes: of a body, whether or not its length is announced.
        places: where they are full, the body is not read.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, places: Places) -> None:
        self.app, self.most_bytes, self.places, self._reading = app, most_bytes, places, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request whose body fits."""
        headers = dict(scope.get("headers", ())) if scope["type"] == "http" else {}
        if b"content-length" not in headers and b"transfer-encoding" not in headers:
            return await self.app(scope, receive, send)
        if self.places.is_full(scope):
            return await overloaded(_BUSY)(scope, receive, send)
        announced = int(headers.get(b"content-length", b"0"))
        if announced > _MOST_READ or (announced > self.most_bytes and b"expect" in headers):
            return await self._too_large(scope, receive, send)
        if self._reading >= _MOST_BODIES:
            return await overloaded("too many requests are being sent; come again")(scope, receive, send)
        self._reading += 1
        try:
            body = await asyncio.wait_for(self._read(receive), _BODY_SECONDS)
        except ConnectionAbortedError:
            return
        except asyncio.TimeoutError:
            slow = f"the body did not arrive within {_BODY_SECONDS:g} s"
            return await error_answer(408, slow, headers={"Connection": "close"})(scope, receive, send)
        finally:
            self._reading -= 1
        if body is None:
            return await self._too_large(scope, receive, send)
        unread = True

        async def read_again() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await self.app(scope, read_again, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body; None if it is too large: its rest is thrown away, or the client would see no answer."""
        parts, size, more = [], 0, True
        while more and size < _MOST_READ:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionAbortedError
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= self.most_bytes:
                parts.append(part)
        return b"".join(parts) if size <= self.most_bytes else None

    async def _too_large(self, scope: Scope, receive: Receive, send: Send) -> None:
        large = f"the body is larger than {self.most_bytes:,} bytes; send less at a time"
        await error_answer(413, large, headers={"Connection": "close"})(scope, receive, send)
