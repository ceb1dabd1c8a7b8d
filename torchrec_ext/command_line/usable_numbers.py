"""Refuses numbers that no setting can have, before anything is read or trained."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from torchrec_ext.errors import InputError


def expect_usable(settings: Any) -> None:
    """Refuses a number in settings that is not finite, or an integer of more than 64 bits.

    Args:
        settings: a dataclass or a mapping; so may be its values, or tuples of numbers.

    Raises:
        InputError: for the first such number, with its name.

    Example:
        >>> expect_usable({"optimization": {"learning_rate": float("nan")}})
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: learning_rate should be a finite number, received nan
    """
    if dataclasses.is_dataclass(settings):
        settings = vars(settings)
    for name, value in settings.items():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, float) and not math.isfinite(one):
                raise InputError(f"{name} should be a finite number, received {one}")
            if isinstance(one, int) and not -(2**63) <= one < 2**63:
                raise InputError(f"{name} should be an integer of at most 64 bits, received {one}")
            if isinstance(one, Mapping) or dataclasses.is_dataclass(one):
                expect_usable(one)
