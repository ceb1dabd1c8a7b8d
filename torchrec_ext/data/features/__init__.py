"""How a column becomes a model's input: declared, fitted on the training part, kept as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Literal, TypeAlias

from torchrec_ext.data.checked import from_plain
from torchrec_ext.data.features.category import Category, FittedCategory
from torchrec_ext.data.features.number import FittedNumber, Number
from torchrec_ext.data.features.time import FittedAge, FittedPart, Time
from torchrec_ext.data.features.vector import FittedVector, Vector
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError, nearest

__all__ = [
    "KINDS", "Category", "Fitted", "FittedAge", "FittedCategory", "FittedNumber", "FittedPart",
    "FittedVector", "Number", "Options", "Time", "Vector", "from_json", "options_from", "refers_to",
    "to_json",
]  # fmt: skip

Options: TypeAlias = Number | Category | Time | Vector
"""What to make of a column; ``fit`` learns it from the training part."""

Fitted: TypeAlias = FittedNumber | FittedCategory | FittedPart | FittedAge | FittedVector
"""One feature: ``transform`` makes ``width`` numbers of a value, or one of ``rows`` rows; the other is 0."""

KINDS: dict[str, type[Options]] = {"number": Number, "category": Category, "time": Time, "vector": Vector}

_FITTED: dict[str, type[Fitted]] = {
    "number": FittedNumber, "category": FittedCategory, "time_part": FittedPart, "age": FittedAge,
    "vector": FittedVector,
}  # fmt: skip


def options_from(found: Mapping[str, Any]) -> Options:
    """Options from plain values, the ``kind`` among them; InputError for what the kind does not allow."""
    options, rest = _by_kind(found, KINDS, "a feature")
    return options(**rest)


def refers_to(fitted: Fitted) -> Literal["user", "item"] | None:
    """Of which table, that of users or of items, the values of a feature are ids; None for others."""
    return fitted.options.refers if isinstance(fitted, FittedCategory) else None


def to_json(fitted: Fitted) -> dict[str, Any]:
    """A fitted feature as plain values, which :func:`from_json` reads; without its vocabulary."""
    if isinstance(fitted, FittedCategory):
        return {"kind": "category", "options": asdict(fitted.options), "most_frequent": fitted.most_frequent}
    kind = next(kind for kind, made in _FITTED.items() if isinstance(fitted, made))
    return {"kind": kind, **asdict(fitted)}


def from_json(found: Mapping[str, Any], vocabulary: Vocabulary | None = None) -> Fitted:
    """Reads what :func:`to_json` made, else InputError; a category without hash needs its vocabulary."""
    kind, rest = _by_kind(found, _FITTED, "a fitted feature")
    fitted = from_plain(kind, rest, f"a fitted {found['kind']} is not what was saved, fit and save it again")
    if isinstance(fitted, FittedCategory) and fitted.options.hash is None:
        if vocabulary is None:
            raise InputError("a category without hash needs its vocabulary; load it and hand it over too")
        return replace(fitted, vocabulary=vocabulary)
    return fitted


def _by_kind(found: Mapping[str, Any], kinds: Mapping[str, Any], what: str) -> tuple[Any, dict[str, Any]]:
    """The class that ``kind`` names, and all else that was found."""
    if not isinstance(found, Mapping):
        raise InputError(f"{what} should be a table of names and values, received {found!r}")
    kind = found.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise InputError(
            f"kind of {what} should be {' or '.join(map(repr, kinds))}, received {found!r}"
            f"{nearest(kind, kinds, ';')}"
        )
    return kinds[kind], {name: value for name, value in found.items() if name != "kind"}
