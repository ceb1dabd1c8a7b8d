"""Features fitted on columns and applied to them: each distinct word is looked at once."""

from typing import TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.data.coded import Coded, CodedLists, Column
from torchrec_ext.data.features import (
    Category,
    Fitted,
    FittedCategory,
    FittedNumber,
    Number,
    Options,
    Vector,
    fit,
    fit_counted,
)
from torchrec_ext.data.lists import Lists
from torchrec_ext.errors import InputError

Input: TypeAlias = np.ndarray | Lists
"""What a column becomes: (N,) integer rows of a table, N lists of them, or (N, width) float32 numbers."""


def default_options(column: Column) -> Options:
    """What becomes of a column where nothing is declared: numbers are standardised, words look up a table."""
    if not isinstance(column, np.ndarray):
        return Category()
    return Number() if column.ndim == 1 else Vector(column.shape[1])


def fit_column(name: str, column: Column, training: np.ndarray, options: Options) -> dict[str, Fitted]:
    """The features of a column, fitted on its training rows alone.

    Args:
        name: of the feature; one that gives several has theirs behind it, such as ``_hour``.
        column: all N values.
        training: (N,) bool, which of them may be learnt from.
        options: what becomes of it.

    Raises:
        InputError: if the values are not what the options are for.

    Example:
        >>> colours = Coded.of(pd.Series(["red", "blue", None, "red"]))
        >>> fitted = fit_column("item_colour", colours, np.array([True, False, True, True]), Category())
        >>> apply_column(fitted["item_colour"], colours)
        array([1, 0, 0, 1], dtype=int32)
    """
    if isinstance(column, CodedLists):
        if not isinstance(options, Category):
            raise InputError(f"feature {name}: a list of words is a category, not a {type(options).__name__}")
        column = column.take(training).values
        training = np.ones(len(column), bool)
    if isinstance(options, Category) and isinstance(column, Coded):
        learnt = column.take(training).used()
        missing = int((learnt.codes < 0).sum())
        try:
            return {name: fit_counted(learnt.words, learnt.counts(), missing, options)}
        except InputError as error:
            raise InputError(f"feature {name}: {error}") from None
    return fit(name, _numbers(name, column)[training], options)


def apply_column(fitted: Fitted, column: Column) -> Input:
    """What the values of a column become.

    Args:
        fitted: of :func:`fit_column`.
        column: N values, of training or later ones.

    Raises:
        InputError: if the values are not what was fitted.
    """
    if isinstance(column, CodedLists):
        flat = apply_column(fitted, column.values)
        assert isinstance(flat, np.ndarray)
        return Lists(flat, column.offsets)
    if isinstance(column, Coded):  # the value after the last word is that of a missing one
        found = fitted.apply(pd.Series([*column.words, None], dtype=_with_missing(column.words)))
        return (found.astype(np.int32) if found.ndim == 1 else found)[column.codes]
    if isinstance(fitted, FittedCategory):
        column = Coded.of(pd.Series(column))
        return apply_column(fitted, Coded(column.codes, _whole(column.words)))
    return fitted.apply(column)


def drops(fitted: Fitted) -> bool:
    """Whether a row that misses the value is left out of training."""
    return isinstance(fitted, FittedCategory | FittedNumber) and fitted.options.missing == "drop"


def kept_rows(fitted: Fitted, column: Column) -> np.ndarray:
    """(N,) bool, which rows may be trained on: all but those that miss a value that must not be missing."""
    if isinstance(column, CodedLists):
        return np.ones(len(column), bool)
    if isinstance(column, Coded):
        words = pd.Series([*column.words, None], dtype=_with_missing(column.words))
        return fitted.kept(words)[column.codes]
    return fitted.kept(column)


def _numbers(name: str, column: Column) -> np.ndarray:
    """Words that are numbers, as such."""
    if isinstance(column, np.ndarray):
        return column
    assert isinstance(column, Coded)
    try:
        return np.append(pd.to_numeric(pd.Series(column.words)).to_numpy(np.float64), np.nan)[column.codes]
    except (ValueError, TypeError) as error:
        raise InputError(f"feature {name} should hold numbers: {error}; declare it a category") from None


def _with_missing(words: pd.Index) -> object:
    return "Int64" if pd.api.types.is_integer_dtype(words.dtype) else words.dtype


def _whole(words: pd.Index) -> pd.Index:
    """Whole floats as integers."""
    whole = bool((words == np.floor(words)).all())
    return words.astype(np.int64) if whole else words
