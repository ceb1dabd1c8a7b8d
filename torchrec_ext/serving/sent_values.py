"""Values of a context feature as clients send them: of any type, each converted like a column of the data."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.features.vector import FittedVector
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import FlatColumn
from torchrec_ext.errors import InputError
from torchrec_ext.schema import DenseFeature, Feature

_WRONG = (TypeError, ValueError, OverflowError, pa.ArrowException)


def sent_values(
    preparation: Preparation, feature: Feature | DenseFeature, values: Sequence[Any], *, strict: bool
) -> FlatColumn:
    """N rows of a table, lists of them, or numbers.

    Together the values are a column; where they do not make one, because clients send numbers and strings,
    each is converted alone.

    Args:
        preparation: of the model.
        feature: of the context.
        values: N, of any types that JSON has.
        strict: refuses a value that cannot be one of the feature; otherwise it is missing.

    Raises:
        InputError: if one is refused.
    """
    with suppress(*_WRONG):
        found = _converted(preparation, feature, values)
        if _fits(feature, found):
            return found
    parts = [_alone(preparation, feature, value, strict) for value in values]
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else pa.concat_arrays(parts)


def _alone(preparation: Preparation, feature: Feature | DenseFeature, value: Any, strict: bool) -> FlatColumn:
    reason = ""
    try:
        found = _converted(preparation, feature, [value])
        if _fits(feature, found):
            return found
    except _WRONG as error:
        reason = f": {str(error).partition(';')[0]}"[:120]
    if strict and value is not None:
        raise InputError(f"context: {feature.column!r} cannot be {str(value)[:60]!r}{reason}")
    many = isinstance(feature, Feature) and feature.many
    return _converted(preparation, feature, [[] if many else None])


def _converted(
    preparation: Preparation, feature: Feature | DenseFeature, values: Sequence[Any]
) -> FlatColumn:
    fitted = preparation.fitted[feature.name]
    if isinstance(fitted, FittedVector):
        width = fitted.options.width
        numbers = np.array([[np.nan] * width if v is None else v for v in values], np.float32)
        if numbers.shape != (len(values), width):
            raise InputError(f"a vector of {width} numbers is expected")
        return preparation.context(feature, pa.FixedSizeListArray.from_arrays(numbers.ravel(), width))
    column = pd.Series(index=range(len(values)), dtype=object)
    for place, value in enumerate(values):  # the constructor takes lists apart
        column.iat[place] = value
    return preparation.context(feature, column.infer_objects())


def _fits(feature: Feature | DenseFeature, found: FlatColumn) -> bool:
    """Whether values have the shape that the feature has in a history."""
    if isinstance(feature, DenseFeature):
        return isinstance(found, np.ndarray) and found[0].size == feature.width
    return isinstance(found, np.ndarray) != feature.many
