"""ServedEvent: one event of a user as a client of the service reports it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, TypeAlias

from torchrec_ext.errors import InputError

Id: TypeAlias = str | int

EXPOSURE = "exposure"
"""The type of the events by which a service logs what it has shown; they are not part of a history."""
ADDED_ITEM = "added_item"
"""The type of the entries by which a service logs the columns of an item, and the user of these entries."""
NOT_HISTORY = frozenset({EXPOSURE, ADDED_ITEM})
"""Types of what a service logs itself; users have done none of it."""
_MOST_LEVELS = 32


@dataclass(frozen=True)
class ServedEvent:
    """One event of a user: a click, a rating, a search.

    Ids keep their type, so that ``7`` and ``"7"`` are two users. The context is copied, so that a later
    change of the caller's does not reach the event.

    Args:
        user: the user's id as in the data, a string or an integer of 64 bits.
        item: the item's id; None for an event without an item, such as a search.
        timestamp: seconds since 1970 (UTC), float64.
        type: the kind of event, such as ``"click"``.
        context: values by name as JSON has them: None, booleans, numbers, strings, lists, and mappings.
        id: the client's own id of this event. An event store counts a second delivery of an id as the first.

    Raises:
        InputError: for the first field with a wrong value.

    Example:
        >>> ServedEvent("ann", 42, 1735689600.0, type="click", context={"device": "phone"}).item
        42
        >>> ServedEvent("ann", 42, float("nan"))
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: timestamp should be a finite number of seconds, received nan
    """

    user: Id
    item: Id | None
    timestamp: float
    type: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None

    def __post_init__(self) -> None:
        checked = {
            "user": checked_id("user", self.user),
            "item": None if self.item is None else checked_id("item", self.item),
            "timestamp": _checked_timestamp(self.timestamp),
            "type": None if self.type is None else _checked_text("type", self.type, "a string or None"),
            "context": checked_values("context", self.context),
            "id": None if self.id is None else _checked_text("id", self.id, "a string or None"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)


def checked_id(name: str, value: Any) -> Id:
    """The id of a user or an item, NumPy's integers as Python's; an InputError names the argument."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        return _checked_text(name, value, "a string or an integer")
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise InputError(f"{name} should be an integer of 64 bits, received {_shown(value)}")
    return number


def _checked_text(name: str, value: object, expected: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} should be {expected}, received {_shown(value)}")
    if not value:
        raise InputError(f"{name} should not be an empty string")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can spell half a surrogate pair, which UTF-8 cannot
        raise InputError(f"{name} should be valid Unicode, received {_shown(value)}") from None
    return str(value)


def _checked_timestamp(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"timestamp should be a number of seconds since 1970, received {_shown(value)}")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise InputError(f"timestamp should be a finite number of seconds, received {_shown(value)}")
    return seconds


def checked_values(name: str, value: object) -> Mapping[str, Any]:
    """A copy by way of JSON, which has to come back equal: tuples and keys of other types do not."""
    if not isinstance(value, Mapping):
        raise InputError(f"{name} should be a mapping of JSON values, received {_shown(value)}")
    if not value:
        return {}
    if _is_deeper(value, _MOST_LEVELS):  # Python's parser would fail on it, for some readers of a log
        raise InputError(f"{name} should have at most {_MOST_LEVELS} levels of lists and mappings")
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        text.encode()
        copy = json.loads(text)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} should hold JSON values only: {error}") from None
    if copy != value:
        raise InputError(f"{name} should have string keys, and lists for tuples, received {_shown(value)}")
    return copy


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, (Mapping, list, tuple)):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in inner)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python prints no integer of more than 4,300 digits
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
