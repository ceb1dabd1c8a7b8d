"""serve(): an application on uvicorn, until SIGTERM or SIGINT."""

import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any

import uvicorn
from fastapi import FastAPI

from torchrec_ext.errors import InputError
from torchrec_ext.serving.http.errors import OneLine
from torchrec_ext.serving.http.stalled_connections import StalledConnections

_GRACE_SECONDS = 30
_IDLE_SECONDS = 75
"""Proxies reuse a connection for up to 60 s (nginx); if it is closed then, a request fails."""
_SWITCH_SECONDS = 0.001
"""Python's default is 5 ms, which an answer would wait for the thread that computes lists."""


def serve(app: FastAPI, listener: socket.socket, ready: Callable[[str], None] = print) -> None:
    """Answers requests until SIGTERM or SIGINT, and then those that were accepted before.

    Args:
        app: of :func:`create_app`.
        listener: of :func:`bind`; it is closed.
        ready: is called with the URL once connections are accepted.

    Raises:
        InputError: if another process listens there by now.
    """
    config = uvicorn.Config(
        app, http=_protocol(), ws="none", lifespan="on", log_config=None, access_log=False,
        server_header=False, timeout_graceful_shutdown=_GRACE_SECONDS, timeout_keep_alive=_IDLE_SECONDS,
        timeout_notify=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.callback_notify = StalledConnections(server.server_state.connections, _IDLE_SECONDS).close
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(OneLine())
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each connection is one

    def stop(*_: object) -> None:  # before uvicorn handles signals; after its end it raises them again
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        address = listener.getsockname()
        try:
            listener.listen(2048)
        except OSError as error:
            raise _refusal(address[0], address[1], error) from None
        sys.setswitchinterval(_SWITCH_SECONDS)
        gc.collect()
        gc.freeze()  # a full collection of what stands by now takes a fifth of a second, and finds nothing
        name = f"[{address[0]}]" if listener.family == socket.AF_INET6 else address[0]
        ready(f"http://{name}:{address[1]}/")
        server.run(sockets=[listener])
    finally:
        listener.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _protocol() -> Any:
    """The protocol over httptools, the faster parser, if that is installed."""
    if find_spec("httptools") is None:
        return "h11"
    from torchrec_ext.serving.http.bounded_head import BoundedHead

    return BoundedHead


def bind(host: str, port: int) -> socket.socket:
    """A socket for :func:`serve`, whose port other processes cannot take.

    Args:
        host: address or name of this machine.
        port: 0 for a free one.

    Raises:
        InputError: if it cannot, with the reason.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"port should be from 0 to {2**16 - 1}, received {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(f"host {host!r} is not an address or a name of this machine: {error}") from None
    try:
        # asyncio sends at once (TCP_NODELAY) only on sockets with a protocol; else an answer takes 40 ms
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _refusal(host, port, error) from None
    return listener


def _refusal(host: str, port: int, error: OSError) -> InputError:
    reason = f"{error.strerror}; name another port or host"
    return InputError(f"port {port} of {host} cannot be listened at: {reason}")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host, all of whose addresses have to be its own."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return False
    return all(ip_address(address[4][0]).is_loopback for address in found)
