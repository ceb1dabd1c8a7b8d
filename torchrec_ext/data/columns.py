"""Columns of events and side tables as Arrow arrays: what each type means, and NumPy views of them.

| Arrow type | meaning |
|---|---|
| ``dictionary<int32, string or int64>`` | ids, categories and types of events |
| ``list<dictionary>`` | lists of categories |
| ``float64`` | numbers |
| ``int64``, ``float64``, ``timestamp[ns]`` of ``timestamp`` | seconds, or nanoseconds |
| ``fixed_size_list<float32>[width]`` | vectors |
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.as_written import as_written
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.errors import InputError


def kind_of(column: pa.Array) -> str:
    """The kind of a column that its type tells: ``category``, ``categories``, ``vector`` or ``number``."""
    if pa.types.is_fixed_size_list(column.type):
        return "vector"
    if pa.types.is_list(column.type):
        return "categories"
    return "category" if pa.types.is_dictionary(column.type) else "number"


def codes_of(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """(N,) int32 index of each value in the dictionary of a column, -1 for a missing one."""
    indices = one_array(column).indices
    if indices.null_count:  # else they are not copied
        indices = indices.fill_null(-1)
    return indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)


def words_of(column: pa.Array | pa.ChunkedArray) -> pd.Index:
    """The dictionary of a column: int64 or strings, of which some may stand for no value."""
    return pd.Index(one_array(column).dictionary.to_pandas())


def used(column: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """The same column with a dictionary of the values that stand in it, in order of first appearance."""
    array = one_array(column)
    codes, words = codes_of(array), len(array.dictionary)
    firsts = np.full(words + 1, len(codes), np.int32)  # the last is that of missing values
    firsts[codes[::-1]] = np.arange(len(codes), dtype=np.int32)[::-1]
    order = np.argsort(firsts[:-1], kind="stable")[: int((firsts[:-1] < len(codes)).sum())]
    if np.array_equal(order, np.arange(words)):
        return array
    places = np.full(words + 1, -1, np.int32)
    places[order] = np.arange(len(order))
    return from_codes(places[codes], array.dictionary.take(pa.array(order)))


def from_codes(codes: np.ndarray, words: pa.Array | pd.Index) -> pa.DictionaryArray:
    """A dictionary column of (N,) int32 indices, of which -1 is a missing value."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32(), mask=codes < 0), pa.array(words))


def numbers_of(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """(N,) numbers, NaN where one is missing, or (N, width) float32 vectors; times in seconds."""
    array = one_array(column)
    if pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
        there = array.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        if not array.null_count:
            return there
        vectors = np.full((len(array), width), np.nan, np.float32)
        vectors[array.is_valid().to_numpy(zero_copy_only=False)] = there
        return vectors
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.int64()).to_numpy(zero_copy_only=False) / 1e9
    if array.null_count:
        array = array.cast(pa.float64()).fill_null(np.nan)
    return array.to_numpy(zero_copy_only=False)


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece; not copied if it is."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def column_of(values: pd.Series) -> pa.Array:
    """A column of a DataFrame: floats are numbers, arrays of floats vectors, lists lists, others categories.

    An InputError if lists are mixed with something else, or values of several kinds with each other.
    """
    if pd.api.types.is_float_dtype(values.dtype):
        return pa.array(as_written(values.to_numpy(f"f{values.dtype.itemsize}", na_value=np.nan)))
    there = values.dropna()
    first = there.iloc[0] if len(there) else None
    if isinstance(first, np.ndarray) and first.dtype.kind == "f":
        return pa.array(values, pa.list_(pa.float32(), len(first)), from_pandas=True)
    if isinstance(first, list | tuple | np.ndarray):
        return _lists(values)
    codes, words = pd.factorize(values)
    return from_codes(codes, pd.Index(words))


def as_series(column: pa.Array | pa.ChunkedArray) -> pd.Series:
    """A column as pandas shows it; vectors and lists as lists, integers beside missing ones as ``Int64``."""
    array = one_array(column)
    if pa.types.is_list(array.type):
        plain = array.cast(pa.list_(array.type.value_type.value_type))
        return pd.Series(plain.to_pylist(), dtype=object)
    if not pa.types.is_dictionary(array.type):
        found = numbers_of(array)
        return pd.Series(found if found.ndim == 1 else list(found))
    codes, words = codes_of(array), pd.Series(words_of(array))
    if words.dtype == np.int64 and array.null_count:
        words = words.astype("Int64")
    return pd.Series(words.array.take(codes, allow_fill=True))


def _lists(values: pd.Series) -> pa.ListArray:
    """Lists of categories; a missing list is an empty one, a missing value is left out of its list."""
    try:
        array = pa.array(values, from_pandas=True)
        flat = array.flatten()
    except (pa.ArrowInvalid, pa.ArrowTypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"column {values.name!r} should hold a list in each row: {reason}") from None
    if pa.types.is_null(flat.type):
        flat = flat.cast(pa.string())
    ends = offsets_of(pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False))
    there = offsets_of(flat.is_valid().to_numpy(zero_copy_only=False))
    offsets = pa.array(there[ends].astype(np.int32))
    return pa.ListArray.from_arrays(offsets, flat.drop_null().dictionary_encode())
