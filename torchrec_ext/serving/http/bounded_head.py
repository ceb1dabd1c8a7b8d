"""BoundedHead: uvicorn's protocol over httptools, with a limit of what it keeps of requests."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_BYTES = 2**19
"""Of a head; more than asyncio reads at a time (2**18), which may begin with the end of another request."""
_MOST_WAITING = 16


class BoundedHead(HttpToolsProtocol):
    """Ends a connection whose request has too large a head, or that sends many requests ahead of the answers.

    uvicorn (0.54) limits neither over httptools, so that one client, also without the token, could use up the
    memory. Over h11 it does.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._head_bytes: int | None = None  # None outside of a head

    def data_received(self, data: bytes) -> None:
        """Reads what has arrived."""
        super().data_received(data)
        if self._head_bytes is not None and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_BYTES:
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Begins a head."""
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Ends a head."""
        self._head_bytes = None
        if len(self.pipeline) >= _MOST_WAITING:
            raise ValueError("too many requests ahead of the answers")  # which is answered with 400
        super().on_headers_complete()
