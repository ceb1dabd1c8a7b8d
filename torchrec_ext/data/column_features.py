"""Columns of events and side tables as features: each distinct word is looked at once."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.columns import codes_of, column_of, kind_of, one_array
from torchrec_ext.data.events import Events, expect_times
from torchrec_ext.data.features import Category, Fitted, FittedCategory, FittedNumber, Number, Options, Time
from torchrec_ext.data.features.values import as_numbers
from torchrec_ext.data.features.vector import Vector
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity


def _chosen(events: Events, training: np.ndarray) -> Iterator[tuple[Entity, str, pa.Array, np.ndarray]]:
    """Entity, name, values and (n,) bool of the values to learn from, of every column chosen as a feature."""
    for name in events.context_features:
        yield "context", name, one_array(events.table[name]), training
    entities: tuple[Entity, ...] = ("user", "item")
    for entity in entities:
        table, names = getattr(events, f"{entity}s"), getattr(events, f"{entity}_features")
        if names and entity in events.columns:
            ids = events.distinct(entity)[events.occurring(entity, training)]
            learnt = table[entity].isin(ids).to_numpy()
            for name in names:
                yield entity, name, column_of(table[name]), learnt


def fit_chosen(events: Events, training: np.ndarray) -> Iterator[tuple[Entity, str, bool, dict[str, Fitted]]]:
    """Entity and name of every column chosen as a feature, whether it holds lists, and its features.

    They are fitted on the (N,) bool ``training`` events, or on the users or items of these.
    """
    for entity, name, column, learnt in _chosen(events, training):
        options = events.options.get(f"{entity}_{name}") or default_options(column)
        if isinstance(options, Time) and (entity, name) == ("context", "timestamp"):
            expect_times(events, "context feature 'timestamp'", "leave it out")
        fitted = fit_column(f"{entity}_{name}", column, learnt, options)
        yield entity, name, pa.types.is_list(column.type), fitted


def default_options(column: pa.Array) -> Options:
    """What becomes of a column where nothing is declared: numbers are standardised, words look up a table."""
    kind = kind_of(column)
    if kind == "vector":
        return Vector(column.type.list_size)
    return Number() if kind == "number" else Category()


def fit_column(name: str, column: pa.Array, training: np.ndarray, options: Options) -> dict[str, Fitted]:
    """The features of a column of N values, fitted on its (N,) bool ``training`` rows alone.

    Several have what tells them apart, such as ``_hour``, in their names. InputError for other values.
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
    if not isinstance(found, dict):
        return {name: found}
    return {f"{name}_{part}": fitted for part, fitted in found.items()}


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


def drops(fitted: Fitted | None) -> bool:
    """Whether a row that misses the value is left out of training."""
    return isinstance(fitted, FittedCategory | FittedNumber) and fitted.options.missing == "drop"


def kept_rows(fitted: Fitted | None, column: pa.Array) -> np.ndarray:
    """(N,) bool, which rows may be trained on: all but those that miss a value that must not be missing."""
    if not drops(fitted) or pa.types.is_list(column.type):
        return np.ones(len(column), bool)
    if isinstance(fitted, FittedNumber):
        return ~np.isnan(as_numbers(column))
    return ~pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False)


def kept_events(events: Events, entity: Entity, name: str, fitted: Fitted | None) -> np.ndarray:
    """(N,) bool, the same of events by a column of theirs or of a side table; no row there is not a gap."""
    if entity == "context":
        return kept_rows(fitted, one_array(events.table[name]))
    table = getattr(events, f"{entity}s")
    dropped = events.distinct(entity).isin(table[entity][~kept_rows(fitted, column_of(table[name]))])
    return ~np.append(dropped, False)[events.codes(entity)]
