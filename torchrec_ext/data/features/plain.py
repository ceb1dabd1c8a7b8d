"""Plain values, as TOML and JSON write them: what is expected of each, and a message where it is not that."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from torchrec_ext.errors import InputError, nearest

_LARGEST = 1.7e308
_ADVICE = "; it is not what was saved, fit and save it again"


class Expected(NamedTuple):
    """What a value should be.

    Args:
        words: how a message says it.
        fits: whether a value is that.
        choices: the words it may be, to hint at the nearest one.
    """

    words: str
    fits: Callable[[Any], bool]
    choices: tuple[str, ...] = ()


def is_finite(value: object) -> bool:
    """Whether it is a finite number; True and False are none.

    Example:
        >>> is_finite(3), is_finite(float("nan")), is_finite(True)
        (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def is_whole(value: object) -> bool:
    """Whether it is an integer of 64 bits; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


FLAG = Expected("true or false", lambda value: isinstance(value, bool))
FINITE = Expected("a finite number", is_finite)
FINITES = Expected(
    "a list of finite numbers", lambda value: isinstance(value, list | tuple) and all(map(is_finite, value))
)
WORD_OR_INTEGER = Expected("a string or an integer", lambda value: isinstance(value, str) or is_whole(value))
TABLE = Expected("a table of names and values", lambda value: isinstance(value, Mapping))


def whole(least: int) -> Expected:
    """An integer from ``least`` on."""
    return Expected(f"an integer of {least} or more", lambda value: is_whole(value) and value >= least)


def one_of(choices: Iterable[str]) -> Expected:
    """One of these words."""
    words = tuple(choices)
    shown = " or ".join(map(repr, words))
    return Expected(shown, lambda value: isinstance(value, str) and value in words, words)


def optional(expected: Expected) -> Expected:
    """The same, or None."""
    return Expected(
        f"{expected.words}, or nothing",
        lambda value: value is None or expected.fits(value),
        expected.choices,
    )


def expect(name: str, value: object, expected: Expected, advice: str = "") -> None:
    """Refuses a value that is not what is expected.

    Args:
        name: what the value is called in the message.
        value: the value received.
        expected: what it should be.
        advice: what to do, where that does not go without saying.

    Raises:
        InputError: with the value, what was expected and the nearest choice.

    Example:
        >>> expect("missing", "meen", one_of(("drop", "mean")))
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: missing should be 'drop' or 'mean', received 'meen'; did you mean ...
    """
    if not expected.fits(value):
        hint = nearest(value, expected.choices, ";")
        raise InputError(f"{name} should be {expected.words}, received {_shortened(value)}{hint}{advice}")


def expect_options(options: Any, **expected: Expected) -> None:
    """Refuses the first field of a dataclass that is not what is expected, as ``Number.missing``."""
    for name, wanted in expected.items():
        expect(f"{type(options).__name__}.{name}", getattr(options, name), wanted)


def read(what: str, found: object, expected: Mapping[str, Expected]) -> dict[str, Any]:
    """The values of what was kept as JSON, each checked; lists become tuples.

    Args:
        what: what was kept, for the message.
        found: what the JSON holds.
        expected: what is expected of each name; all of them have to be there, and no other.

    Raises:
        InputError: if a name is missing or unknown, or a value is not what is expected.

    Example:
        >>> read("a scale", {"center": 1, "spread": None}, {"center": FINITE, "spread": FINITE})
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: spread of a scale should be a finite number, received None; ...
    """
    expect(what, found, TABLE, _ADVICE)
    assert isinstance(found, Mapping)
    for name in found:
        if name not in expected:
            raise InputError(
                f"{what} holds the unknown name {name!r}; expected {', '.join(expected)}"
                f"{nearest(name, expected, ';')}"
            )
    for name, wanted in expected.items():
        if name not in found:
            raise InputError(f"{what} lacks {name!r}{_ADVICE}")
        expect(f"{name} of {what}", found[name], wanted, _ADVICE)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def plain(fitted: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON holds them: tuples are lists.

    Example:
        >>> from torchrec_ext.data.features.scale import Scale
        >>> plain(Scale("none"))
        {'kind': 'none', 'center': 0.0, 'spread': 1.0, 'quantiles': [], 'levels': []}
    """
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(fitted).items()
    }


def _shortened(value: object) -> str:
    words = repr(value)
    return words if len(words) <= 80 else f"{words[:80]} ..."
