"""Access: who may use a service, and what pages of other sites may not."""

import base64
import binascii
import hmac
import logging
import stat
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from torchrec_ext.errors import InputError
from torchrec_ext.serving.http.errors import error_answer

log = logging.getLogger("torchrec_ext.serving")
OPEN = frozenset({"/health", "/ready"})
_SHORTEST = 16
_REMEDY = "make one with openssl rand -hex 32"


class TokenCheck:
    """Lets nobody in without the token, save to ``/health`` and ``/ready``.

    A program sends ``Authorization: Bearer TOKEN``; a browser asks for a name, which may be any, and for a
    password, which is the token.

    Args:
        app: what answers.
        token: which requests have to carry.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request with the token, and any other with 401."""
        if scope["type"] != "http" or scope["path"] in OPEN or self._has_token(scope):
            return await self.app(scope, receive, send)
        await _refusal()(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, value = given.partition(b" ")
        if scheme.lower() == b"basic":
            try:
                value = base64.b64decode(value.strip(), validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != b"bearer":
            return False
        return hmac.compare_digest(value.strip(), self.token)


def _refusal() -> Response:
    answer = error_answer(401, "give the token of the service: Authorization: Bearer TOKEN")
    for scheme in ("Bearer", 'Basic realm="The token is the password", charset="UTF-8"'):
        answer.headers.append("WWW-Authenticate", scheme)
    return answer


class OriginCheck:
    """Refuses with 403 what a page of another site makes a browser send, for a service without a token.

    The owner of a domain may point it to this machine (DNS rebinding), so that the browser takes the service
    for a part of their site: its host has to be an address, or a name that nobody can register. A request
    other than GET and HEAD has to come from a page of the service, if from a page at all.

    Args:
        app: what answers.

    Source: Jackson et al., Protecting Browsers from DNS Rebinding Attacks, CCS 2007
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that a page of another site cannot have made."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        host, origin = (headers.get(name, b"").decode("latin-1").lower() for name in (b"host", b"origin"))
        if host and not _is_local(host):
            error = "the host should be localhost or an address of this machine; other names need a token"
            return await error_answer(403, error)(scope, receive, send)
        if origin and scope["method"] not in ("GET", "HEAD") and origin.partition("://")[2] != host:
            error = "a page of another site may not send this; without a token only the service's own may"
            return await error_answer(403, error)(scope, receive, send)
        await self.app(scope, receive, send)


def _is_local(host: str) -> bool:
    """Whether a host is an address, ``localhost``, or another name without a dot, which DNS cannot rebind."""
    try:
        name = urlsplit(f"//{host}").hostname or "."
    except ValueError:
        return False
    with suppress(ValueError):
        return ip_address(name) is not None
    return "." not in name or name.endswith(".localhost")


def read_token(path: str | Path) -> str:
    """The token in a file; warns if every user of the machine can read it.

    Raises:
        InputError: if the file cannot be read, or holds no token of at least 16 characters of ASCII.
    """
    try:
        token = Path(path).expanduser().read_text(encoding="ascii").strip()
    except OSError as error:
        raise InputError(f"the token file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(
            f"the token file {path} should hold ASCII; make one with openssl rand -hex 32"
        ) from None
    if len(token) < _SHORTEST or len(token.split()) != 1:
        raise InputError(
            f"the token file {path} should hold one word of at least {_SHORTEST} characters, received "
            f"{len(token.split())} words of {len(token)} characters; {_REMEDY}"
        )
    if Path(path).expanduser().stat().st_mode & stat.S_IROTH:
        log.warning("the token file can be read by every user of this machine; chmod 600 ends that")
    return token
