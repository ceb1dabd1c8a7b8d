"""Checks of numbers and words, with errors that name the argument and both values; without torch."""

from numbers import Integral
from typing import Any

from torchrec_ext.errors import InputError

_OF_MODULES = ("layers", "blocks", "experts", "shared_experts", "iterations", "num_interests", "tasks")
"""Arguments that count modules or passes, which are made one after the other: huge ones never end."""


def expect_at_least(least: float, **arguments: float) -> None:
    """Raises if a number is too small, or counts more than 1,000 modules.

    Args:
        least: the smallest number accepted.
        arguments: the numbers received, by argument name.

    Raises:
        InputError: for the first number below ``least``, or a number of modules above 1,000.

    Example:
        >>> expect_at_least(1, layers=0)
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: layers should be at least 1, received 0
    """
    for name, value in arguments.items():
        if not value >= least:  # which NaN is not
            raise InputError(f"{name} should be at least {least}, received {value}")
        if value > 1000 and name in _OF_MODULES:
            raise InputError(f"{name} should be at most 1,000, received {value:,}")


def expect_whole(least: int, **arguments: Any) -> None:
    """Refuses what is not a whole number, or is too small.

    Args:
        least: the smallest number accepted.
        arguments: the values received, by the name of their argument.

    Raises:
        InputError: for the first that is not such a number.

    Example:
        >>> expect_whole(1, epochs=1.5)
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: epochs should be a whole number, received 1.5
    """
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise InputError(f"{name} should be a whole number, received {value!r}")
        expect_at_least(least, **{name: int(value)})


def expect_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises unless a word is one of the choices.

    Raises:
        InputError: with the choices.

    Example:
        >>> expect_one_of("reduction", "men", ("mean", "sum"))
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: reduction should be 'mean' or 'sum', received 'men'
    """
    if value not in choices:
        raise InputError(f"{name} should be {' or '.join(map(repr, choices))}, received {value!r}")


def expect_dropout(dropout: float) -> None:
    """Raises unless a dropout is a probability below 1.

    Raises:
        InputError: if it is below 0, or 1 or more.
    """
    if not 0 <= dropout < 1:
        raise InputError(f"dropout should be at least 0 and below 1, received {dropout}")
