"""Records the calls that made events and their split, so that a run can read and split its data again."""

import dataclasses
import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_args

import numpy as np
import pandas as pd

from torchrec_ext.data.content import Content
from torchrec_ext.data.events import Events, expect_events
from torchrec_ext.data.features import Options
from torchrec_ext.errors import InputError

_NOT_RECORDED = ("events", "folder", "progress", "rejected")
"""Arguments that are the data itself, or that write files: a record from outside may not hold them."""
P = ParamSpec("P")
PartsT = TypeVar("PartsT", bound=tuple[Any, ...])


def recorded(function: Callable[P, Events]) -> Callable[P, Events]:
    """Appends each call of a function that returns events to ``source.calls``.

    A call of ``read_events`` also records the content of what was read, before anything is removed.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Events:
        events = function(*args, **kwargs)
        source = events.source
        content = Content(events) if function.__name__ == "read_events" else source.content
        calls = (*source.calls, _record(function, args, kwargs))
        return dataclasses.replace(events, source=dataclasses.replace(source, content=content, calls=calls))

    return call


def recorded_split(function: Callable[P, PartsT]) -> Callable[P, PartsT]:
    """Records each call of a split in the report that its parts share."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> PartsT:
        if args:
            expect_events(args[0])
        parts = function(*args, **kwargs)
        report = dataclasses.replace(parts[0].report, call=_record(function, args, kwargs))
        return tuple(dataclasses.replace(part, report=report) for part in parts)  # type: ignore[return-value]

    return call


def arguments_of(call: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of a recorded call of a function, tuples as they were.

    Raises:
        InputError: if one of them is never recorded, so that the record was altered, or if the function does
            not have it.
    """

    def restored(found: dict[str, Any]) -> Any:
        return tuple(found["tuple"]) if found.keys() == {"tuple"} else found

    if altered := [name for name in _NOT_RECORDED if name in call["arguments"]]:
        raise InputError(
            f"the run records the argument {altered[0]} of {call['call']}, which no run does; it was "
            "altered, use another copy"
        )
    if unknown := call["arguments"].keys() - inspect.signature(function).parameters.keys():
        raise InputError(
            f"the run records the argument {min(unknown)} of {call['call']}, which this release lacks; use "
            "the release that wrote it"
        )
    return json.loads(json.dumps(call["arguments"]), object_hook=restored)


def _record(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Name and arguments of a call as JSON holds them; a table in memory is left out."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = {}
    for name, value in bound.arguments.items():
        if name not in _NOT_RECORDED:
            with suppress(TypeError):
                arguments[name] = _plain(value)
    return {"call": function.__name__, "arguments": arguments}


def _plain(value: Any) -> Any:
    """A value as JSON holds it, tuples marked; TypeError for what JSON cannot hold."""
    if isinstance(value, pd.Period):
        value = value.start_time
    if isinstance(value, Path | date | timedelta | np.datetime64 | np.timedelta64):
        return str(value)
    if isinstance(value, np.generic | np.ndarray | pd.Index | pd.Series):
        value = value.tolist()
    if isinstance(value, get_args(Options)):
        value = {"kind": type(value).__name__.lower(), **vars(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return {"tuple": _plain(list(value))}
    if isinstance(value, Sequence | Set):
        return [_plain(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} is not recorded")
