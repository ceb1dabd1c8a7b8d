"""What was fitted, whatever its kind, from JSON."""

from collections.abc import Mapping
from typing import Any

from torchrec_ext.data.features.age import FittedAge
from torchrec_ext.data.features.category import Category, FittedCategory
from torchrec_ext.data.features.number import FittedNumber, Number
from torchrec_ext.data.features.options import options_from
from torchrec_ext.data.features.plain import TABLE, expect, one_of
from torchrec_ext.data.features.time_part import FittedPart
from torchrec_ext.data.features.vector import FittedVector, Vector
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError

Fitted = FittedNumber | FittedCategory | FittedPart | FittedAge | FittedVector
"""One feature: a value becomes ``width`` numbers or one of ``rows`` rows, by ``apply``."""

KINDS = ("number", "category", "time_part", "age", "vector")


def from_json(found: Mapping[str, Any], vocabulary: Vocabulary | None = None) -> Fitted:
    """Reads what the ``to_json`` of any fitted feature made.

    Args:
        found: plain values.
        vocabulary: of a category without hash.

    Raises:
        InputError: if the kind is unknown, the values are not what ``to_json`` made, or the vocabulary is
            missing.

    Example:
        >>> from torchrec_ext.data.features.number import fit_number
        >>> fitted = fit_number([1.0, 5.0], Number())
        >>> from_json(fitted.to_json()) == fitted
        True
    """
    expect("a fitted feature", found, TABLE)
    if "kind" not in found:
        raise InputError("a fitted feature lacks its kind; it is not what was saved, fit and save it again")
    kind = found["kind"]
    expect("kind of a fitted feature", kind, one_of(KINDS))
    rest = {name: value for name, value in found.items() if name != "kind"}
    if kind == "time_part":
        return FittedPart.from_json(rest)
    if kind == "age":
        return FittedAge.from_json(rest)
    declared = rest.pop("options", None)
    expect(f"options of a fitted {kind}", declared, TABLE)
    options = options_from({**declared, "kind": kind})
    if isinstance(options, Number):
        return FittedNumber.from_json(rest, options)
    if isinstance(options, Category):
        return FittedCategory.from_json(rest, options, vocabulary)
    assert isinstance(options, Vector)
    return FittedVector.from_json(rest, options)
