"""Errors as JSON of one line: no path, no stack trace, neither in an answer nor in the log."""

import json
import logging
import re
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from torchrec_ext.errors import InputError
from torchrec_ext.serving.event_store import StoreError
from torchrec_ext.serving.http.bodies import BundleBody, EventBody, ExplainBody, ItemBody, ListBody

log = logging.getLogger("torchrec_ext.serving")
_BODIES = (ListBody, ExplainBody, EventBody, ItemBody, BundleBody)
_FIELDS = {field for body in _BODIES for field in body.model_fields}
_REPEAT_SECONDS = 60
_TAGS = {"body", "query", "path", "one", "several"}


class NotFoundError(Exception):
    """What a URL names does not exist."""


def error_answer(
    status: int, error: str, field: str | None = None, id: str | None = None, headers: Mapping[str, str] = {}
) -> Response:
    """An answer that says what is wrong."""
    content = json.dumps({"error": error, "field": field, "id": id})  # in ASCII, whatever the client sent
    return Response(content, status, dict(headers), "application/json")


def overloaded(error: str) -> Response:
    """The answer of a service that cannot do its work now."""
    return error_answer(503, error, headers={"Retry-After": "1"})


def add_error_handlers(app: FastAPI) -> None:
    """Answers of the errors that are expected."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = _field(first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "json_invalid":
            return error_answer(422, f"the body is not valid JSON: {first['ctx']['error']}")
        if first["type"] == "extra_forbidden":
            message = "there is no such field"
        if not field:
            return error_answer(422, f"the body should be JSON of type application/json: {message}")
        return error_answer(422, f"{field}: {message}", field)

    @app.exception_handler(InputError)
    async def wrong(_: Request, error: InputError) -> Response:
        return error_answer(422, str(error), field_of(error))

    @app.exception_handler(StoreError)
    async def no_store(_: Request, error: StoreError) -> Response:
        return overloaded(str(error))

    @app.exception_handler(NotFoundError)
    async def not_found(_: Request, error: NotFoundError) -> Response:
        return error_answer(404, str(error))

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return error_answer(404, "there is nothing here; GET /docs lists what there is")
        if error.status_code == 400:  # of FastAPI's parser
            return error_answer(422, "the body is not valid JSON in UTF-8")
        return error_answer(error.status_code, str(error.detail), headers=error.headers or {})


def field_of(error: InputError) -> str | None:
    """The field that an error of the service begins with."""
    word = re.match(r"(\[\d+\]\.)?(\w+)", str(error))
    return word[0] if word and word[2] in _FIELDS else None


def _field(location: tuple[Any, ...]) -> str:
    """``("body", "several", 3, "user")`` to ``[3].user``."""
    parts = [part for part in location if part not in _TAGS]
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).removeprefix(".")[:100]


class OneLine:
    """A filter of a log: the first line of each message, without its trace, and a repeated one once a minute.

    It serves the logs of uvicorn and asyncio. asyncio logs a trace of each connection that it cannot accept,
    about ten thousand a second when the file descriptors are used up.
    """

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def __call__(self, record: logging.LogRecord) -> bool:
        """Shortens a record; whether it is to be logged."""
        line = record.getMessage().partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        record.msg, record.args = f"{line} ({type(error).__name__})" if error else line, ()
        record.exc_info = record.exc_text = record.stack_info = None
        self._seen = {seen: at for seen, at in self._seen.items() if record.created - at < _REPEAT_SECONDS}
        return self._seen.setdefault(record.msg, record.created) == record.created


class UnexpectedErrors:
    """Answers any other error with an id, under which the log has it.

    The log names the error and where it came from; its trace is logged at the level DEBUG alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Calls the app, and does not let an error of it out."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:  # a fault of the service itself, of any kind
            id, trace = uuid.uuid4().hex[:12], error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            frame = None if trace is None else trace.tb_frame
            place = "" if frame is None else f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"
            log.error("error %s: %s in %s", id, type(error).__name__, place)
            log.debug("error %s", id, exc_info=error)
            if not begun:
                await error_answer(500, "an unexpected error of the service", id=id)(scope, receive, send)
