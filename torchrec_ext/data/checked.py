"""checked: frozen dataclasses whose fields pydantic validates, with errors of one line."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from typing_extensions import dataclass_transform

from torchrec_ext.errors import InputError, nearest

T = TypeVar("T")
_CONFIG = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
_STRING = "'str' instances are not allowed as a Sequence value"
_LEAD = re.compile(r"^(Input|String|Dictionary|List|Tuple|Value error,) ")


@dataclass_transform(frozen_default=True)
def checked(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass that refuses values its annotations do not allow.

    ``pydantic.Field`` bounds numbers. A value is not converted, but for an integer where a float is expected.
    ``__post_init__`` may raise an InputError.

    Example:
        >>> from typing import Literal
        >>> @checked
        ... class Crop:
        ...     side: Literal["left", "right"] = "left"
        >>> Crop("lift")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: Crop.side should be 'left' or 'right', received 'lift'; ...
    """
    made: Any = dataclass(cls, frozen=True, config=_CONFIG)
    validate: Callable[..., None] = made.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        names = [field.name for field in fields(made)]
        kwargs = {**dict(zip(names, args, strict=False)), **kwargs}
        expect_known(kwargs, names, made.__name__)
        try:
            validate(self, **kwargs)
        except ValidationError as error:
            raise _own(error) or InputError(f"{made.__name__}.{_first(error)}") from None

    init.__wrapped__ = validate  # type: ignore[attr-defined]
    made.__init__ = init
    return made


def from_plain(cls: type[T], found: object, what: str) -> T:
    """An instance of a checked class from plain values as JSON holds them, which knows no tuples.

    Its fields may be checked classes too. An InputError names ``what`` and the first fault.
    """
    try:
        return TypeAdapter(cls).validate_json(json.dumps(found))
    except ValidationError as error:
        raise InputError(f"{what}: {_own(error) or _first(error)}") from None


def expect_known(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """Refuses the first name that is not among the known ones, with the nearest.

    Example:
        >>> expect_known(["flie"], ["file", "type"], "a table")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: a table has no option 'flie'; it has file, type; did you mean 'file'?
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise InputError(
                f"{what} has no option {name!r}; it has {', '.join(known)}{nearest(name, known, ';')}"
            )


def _own(error: ValidationError) -> InputError | None:
    """The InputError of a ``__post_init__``, if that is what a class complains of."""
    raised = error.errors()[0].get("ctx", {}).get("error")
    return raised if isinstance(raised, InputError) else None


def _first(error: ValidationError) -> str:
    """The first complaint: the field, what it should be, the value received and the nearest choice.

    A union complains once for each of its alternatives, with the alternative at the end of the place.
    """
    errors = error.errors()
    field = [found for found in errors if found["loc"][:1] == errors[0]["loc"][:1]]
    found = max(field, key=lambda found: len(found["loc"]))
    same = [e for e in field if len(e["loc"]) == len(found["loc"]) and e["input"] is found["input"]]
    wanted = list(dict.fromkeys(_LEAD.sub("", e["msg"]).replace(_STRING, "should be a list") for e in same))
    place = found["loc"] if len(wanted) == 1 else found["loc"][:-1]
    where = ".".join(str(part) for part in place if "[" not in str(part)) or "value"
    if found["type"] == "missing":
        return f"{where} has no default; set it"
    choices = re.findall("'([^']+)'", " ".join(str(e.get("ctx", {}).get("expected", "")) for e in same))
    received = repr(found["input"])
    shown = received if len(received) <= 80 else f"{received[:80]} ..."
    hint = nearest(found["input"], choices, ";")
    return f"{where} {' or '.join(wanted).replace('or should be', 'or')}, received {shown}{hint}"
