"""checked: frozen dataclasses whose fields pydantic validates, with errors of one line."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass
from typing_extensions import dataclass_transform

from torchrec_ext.errors import InputError, nearest

T = TypeVar("T")
_CONFIG = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


@dataclass_transform(frozen_default=True)
def checked(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass that refuses values its annotations do not allow.

    Args:
        cls: annotated as a dataclass; ``pydantic.Field`` bounds numbers. A value is not converted, but for an
            integer where a float is expected.

    Example:
        >>> from typing import Literal
        >>> @checked
        ... class Crop:
        ...     side: Literal["left", "right"] = "left"
        >>> Crop("lift")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: Crop.side should be 'left' or 'right', received 'lift'; ...
        >>> Crop(sides="left")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: Crop has no option 'sides'; it has side; did you mean 'side'?
    """
    made: Any = dataclass(cls, frozen=True, config=_CONFIG)
    validate: Callable[..., None] = made.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        names = [field.name for field in fields(made)]
        kwargs = {**dict(zip(names, args, strict=False)), **kwargs}
        for name in kwargs:
            if name not in names:
                raise InputError(
                    f"{made.__name__} has no option {name!r}; it has {', '.join(names)}"
                    f"{nearest(name, names, ';')}"
                )
        try:
            validate(self, **kwargs)
        except ValidationError as error:
            raise InputError(f"{made.__name__}.{_first(error)}") from None

    init.__wrapped__ = validate  # type: ignore[attr-defined]
    made.__init__ = init
    return made


def _first(error: ValidationError) -> str:
    """The first complaint: the field, what it should be, the value received and the nearest choice."""
    found = error.errors()[0]
    where = ".".join(map(str, found["loc"])) or "value"
    if found["type"] == "missing":
        return f"{where} has no default; set it"
    wanted = found["msg"].removeprefix("Input ").removeprefix("Value error, ")
    choices = [word.strip("'") for word in str(found.get("ctx", {}).get("expected", "")).split(" or ")]
    received = repr(found["input"])
    shown = received if len(received) <= 80 else f"{received[:80]} ..."
    return f"{where} {wanted}, received {shown}{nearest(found['input'], choices, ';')}"
