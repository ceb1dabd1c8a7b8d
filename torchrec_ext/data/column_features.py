"""Features fitted on columns and applied to them: each distinct word is looked at once."""

from typing import TypeGuard

import numpy as np
import pyarrow as pa

from torchrec_ext.data.columns import codes_of
from torchrec_ext.data.features import Category, Fitted, FittedCategory, FittedNumber, Number, Options, Vector
from torchrec_ext.errors import InputError


def default_options(column: pa.Array) -> Options:
    """What becomes of a column where nothing is declared: numbers are standardised, words look up a table."""
    if pa.types.is_fixed_size_list(column.type):
        return Vector(column.type.list_size)
    return Category() if pa.types.is_dictionary(column.type) or pa.types.is_list(column.type) else Number()


def fit_column(name: str, column: pa.Array, training: np.ndarray, options: Options) -> dict[str, Fitted]:
    """The features of a column, fitted on its training rows alone.

    Args:
        name: of the feature; one that gives several has theirs behind it, such as ``_hour``.
        column: all N values, of a type of ``data.columns``.
        training: (N,) bool, which of them may be learnt from.
        options: what becomes of it; InputError if they are not for such values.

    Example:
        >>> colours = pa.array(["red", "blue", None, "red"]).dictionary_encode()
        >>> fitted = fit_column("item_colour", colours, np.array([True, False, True, True]), Category())
        >>> apply_column(fitted["item_colour"], colours)
        array([1, 0, 0, 1], dtype=int32)
    """
    learnt = column.filter(pa.array(training))
    try:
        if pa.types.is_list(column.type):
            if not isinstance(options, Category):
                raise InputError(f"a list of words is a category, not a {type(options).__name__}")
            learnt = learnt.flatten()
        found = options.fit(learnt)
    except InputError as error:
        raise InputError(f"feature {name}: {error}") from None
    return (
        {f"{name}_{part}": one for part, one in found.items()} if isinstance(found, dict) else {name: found}
    )


def apply_column(fitted: Fitted, column: pa.Array) -> np.ndarray | pa.ListArray:
    """What the N values of a column become; InputError if they are not what was fitted.

    Returns:
        (N,) integer rows of a table, N lists of int32 rows, or (N, width) float32 numbers.
    """
    if pa.types.is_list(column.type):
        return pa.ListArray.from_arrays(column.offsets, pa.array(apply_column(fitted, column.values)))
    if isinstance(fitted, FittedCategory) or not pa.types.is_dictionary(column.type):
        return fitted.transform(column)
    words = column.dictionary
    # the value after the last word is that of a missing one
    found = fitted.transform(pa.concat_arrays([words, pa.nulls(1, words.type)]))
    return (found.astype(np.int32) if found.ndim == 1 else found)[codes_of(column)]


def drops(fitted: Fitted) -> TypeGuard[FittedCategory | FittedNumber]:
    """Whether a row that misses the value is left out of training."""
    return isinstance(fitted, FittedCategory | FittedNumber) and fitted.options.missing == "drop"


def kept_rows(fitted: Fitted, column: pa.Array) -> np.ndarray:
    """(N,) bool, which rows may be trained on: all but those that miss a value that must not be missing."""
    if not drops(fitted) or pa.types.is_list(column.type):
        return np.ones(len(column), bool)
    return fitted.kept(column)
