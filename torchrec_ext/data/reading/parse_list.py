"""Lists of values: categories of any number, and vectors of one width."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.reading.parse_number import parse_number
from torchrec_ext.data.reading.parse_word import decode, parse_category
from torchrec_ext.data.reading.parsed import Parsed, bad_rows, emptied, flags
from torchrec_ext.data.reading.rejects import INFINITE_NUMBER, MISSING_NUMBER, WRONG_LENGTH
from torchrec_ext.errors import InputError


def parse_categories(values: pa.Array, separator: str, where: str) -> Parsed:
    """Lists of categories; what is missing or empty inside a list is left out of it.

    Args:
        values: (rows,) lists, words that hold the separator, or single values.
        separator: stands between the values of a list that is one word.
        where: names the column in messages.

    Returns:
        list<string> or list<int64>.

    Example:
        >>> parse_categories(pa.array(["a|b", "", None]), "|", "column 'genres'").values.to_pylist()
        [['a', 'b'], [], None]
    """
    lists, bad = _lists(values, separator)
    parents, flat = pc.list_parent_indices(lists), lists.flatten()
    words, bad_words = parse_category(flat, where)
    rows_of = parents.to_numpy(zero_copy_only=False)
    bad += tuple((_rows(mask, rows_of, len(lists)), reason) for mask, reason in bad_words)
    if pa.types.is_null(words.type):
        words = words.cast(pa.string())
    there = flags(words.is_valid())
    if pa.types.is_string(words.type):
        there &= flags(pc.not_equal(words, ""))
    counts = np.bincount(rows_of[there], minlength=len(lists))
    ends = np.cumsum(counts, dtype=np.int32)
    # A null in the offsets is a list that is missing.
    missing = ~flags(lists.is_valid())
    offsets = pa.array(np.append(np.int32(0), ends), mask=np.append(missing, False), type=pa.int32())
    return Parsed(pa.ListArray.from_arrays(offsets, words.filter(pa.array(there))), bad)


def parse_vector(values: pa.Array, separator: str, width: int, where: str) -> Parsed:
    """Vectors of one width, of which every number must be there.

    Args:
        values: (rows,) lists of numbers, or words that hold them.
        separator: stands between the numbers of a word.
        width: of each vector.
        where: names the column in messages.

    Returns:
        fixed_size_list<float32>[width].

    Raises:
        InputError: if the column holds neither.
    """
    if not (_is_list(values.type) or pa.types.is_string(values.type) or pa.types.is_binary(values.type)):
        if not pa.types.is_null(values.type):
            raise InputError(f"{where} holds values of type {values.type}; expected lists of {width} numbers")
        values = values.cast(pa.string())
    lists, bad = _lists(values, separator)
    there = flags(lists.is_valid())
    wrong = there & (pc.fill_null(pc.list_value_length(lists), 0).to_numpy() != width)
    kept = lists.filter(pa.array(there & ~wrong))
    numbers, bad_numbers = parse_number(kept.flatten(), where)
    with np.errstate(over="ignore"):
        table = numbers.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, width)
    rows_of = np.repeat(np.flatnonzero(there & ~wrong), width)
    bad += bad_rows((wrong, WRONG_LENGTH))
    bad += tuple((_rows(mask, rows_of, len(lists)), reason) for mask, reason in bad_numbers)
    whole = np.zeros(len(lists), dtype=bool)
    whole[there & ~wrong] = True
    too_large, holes = np.isinf(table).any(axis=1), np.isnan(table).any(axis=1)
    for found, reason in ((too_large, INFINITE_NUMBER), (holes, MISSING_NUMBER)):
        mask = np.zeros(len(lists), dtype=bool)
        mask[np.flatnonzero(whole)[found]] = True
        bad += bad_rows((mask, reason))
    filled = np.zeros((len(lists), width), dtype=np.float32)
    filled[whole] = table
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(filled.ravel()), width)
    return Parsed(emptied(vectors, ~whole), bad)


def _lists(values: pa.Array, separator: str) -> Parsed:
    bad: tuple[tuple[np.ndarray, str], ...] = ()
    if pa.types.is_binary(values.type):
        values, bad = decode(values)
    if pa.types.is_string(values.type):
        return Parsed(pc.split_pattern(values, separator), bad)
    if _is_list(values.type):
        return Parsed(values, bad)
    # Single values: a list of one each.
    there = flags(values.is_valid())
    offsets = pa.array(
        np.append(np.int32(0), np.cumsum(there, dtype=np.int32)),
        mask=np.append(~there, False),
        type=pa.int32(),
    )
    return Parsed(pa.ListArray.from_arrays(offsets, values.drop_null()), bad)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind)


def _rows(mask: np.ndarray, rows_of: np.ndarray, count: int) -> np.ndarray:
    """Which rows hold a value of which the mask is set."""
    rows = np.zeros(count, dtype=bool)
    rows[rows_of[mask]] = True
    return rows
