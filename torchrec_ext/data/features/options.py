"""Options from plain values, as a TOML file holds them."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from torchrec_ext.data.features.category import Category
from torchrec_ext.data.features.number import Number
from torchrec_ext.data.features.plain import TABLE, expect, one_of
from torchrec_ext.data.features.time import Time
from torchrec_ext.data.features.vector import Vector
from torchrec_ext.errors import InputError, nearest

Options = Number | Category | Time | Vector

KINDS: dict[str, type[Number] | type[Category] | type[Time] | type[Vector]] = {
    "number": Number,
    "category": Category,
    "time": Time,
    "vector": Vector,
}


def options_from(found: Mapping[str, Any]) -> Options:
    """What to make of a column, from plain values.

    Args:
        found: ``kind``, one of :data:`KINDS`, and options of that kind; those left out have their default.

    Raises:
        InputError: for an unknown kind or option, with the nearest one, or a value that an option cannot
            have.

    Example:
        >>> options_from({"kind": "number", "missing": "median", "scale": "robust"}).missing
        'median'
        >>> options_from({"kind": "number", "scales": "robust"})
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: number has no option 'scales'; it has missing, fill, ...
    """
    expect("a feature", found, TABLE)
    if "kind" not in found:
        raise InputError(f"a feature lacks its kind, received {dict(found)}; set kind to {_any(KINDS)}")
    kind = found["kind"]
    expect("kind of a feature", kind, one_of(KINDS))
    options = KINDS[kind]
    names = [field.name for field in fields(options)]
    for name in found:
        if name != "kind" and name not in names:
            raise InputError(
                f"{kind} has no option {name!r}; it has {', '.join(names)}{nearest(name, names, ';')}"
            )
    for field in fields(options):
        if field.default is MISSING and field.name not in found:
            raise InputError(f"{kind} lacks {field.name!r}, which has no default; set it")
    return options(**{name: value for name, value in found.items() if name != "kind"})


def _any(words: Mapping[str, Any]) -> str:
    return " or ".join(map(repr, words))
