"""Numbers: from words or from any numeric type, infinite and unparsable ones told apart."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.as_written import floats_as_written
from torchrec_ext.data.reading.parse_word import decode
from torchrec_ext.data.reading.parsed import Parsed, bad_rows, emptied, flags
from torchrec_ext.data.reading.rejects import INFINITE_NUMBER, UNPARSABLE_NUMBER
from torchrec_ext.errors import InputError


def parse_number(values: pa.Array, where: str) -> Parsed:
    """Numbers as float64, those of fewer bits as they are written; NaN is missing.

    Args:
        values: (rows,) numbers, booleans (1 and 0), or words that write numbers as Python's ``float`` reads
            them, ASCII without underscores.
        where: names the column in messages.

    Raises:
        InputError: if the column holds something else, such as dates.

    Example:
        >>> parsed = parse_number(pa.array(["1e3", " 5", "1_000", None, "-inf"]), "column 'price'")
        >>> parsed.values.to_pylist(), [reason for _, reason in parsed.bad]
        ([1000.0, 5.0, None, None, None], ['unparsable number', 'infinite number'])
    """
    bad: tuple[tuple[np.ndarray, str], ...] = ()
    if pa.types.is_binary(values.type):
        values, bad = decode(values)
    if pa.types.is_string(values.type):
        numbers, unparsable = numbers_of(values)
    elif is_numeric(values.type):
        numbers, unparsable = floats_as_written(values), np.zeros(len(values), dtype=bool)
    else:
        raise InputError(f"{where} holds values of type {values.type}; expected numbers")
    if pc.all(pc.is_finite(numbers)).as_py() is not False and not unparsable.any():
        return Parsed(numbers, bad)
    infinite = flags(pc.is_inf(numbers))
    numbers = emptied(numbers, infinite | flags(pc.is_nan(numbers)))
    return Parsed(numbers, bad + bad_rows((unparsable, UNPARSABLE_NUMBER), (infinite, INFINITE_NUMBER)))


def is_numeric(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers; a type without values counts."""
    tests = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_decimal,
        pa.types.is_boolean,
        pa.types.is_null,
    )
    return any(test(kind) for test in tests)


def numbers_of(words: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Words as float64, null where they write no number; (rows,) bool, where one is there and writes none."""
    none = np.zeros(len(words), dtype=bool)
    try:
        return words.cast(pa.float64()), none
    except pa.ArrowInvalid:
        pass
    # The usual ones at once, each other spelling once.
    usual = flags(pc.match_substring_regex(words, r"^-?[0-9]{1,40}(\.[0-9]{0,40})?$"))
    numbers = emptied(words, ~usual).cast(pa.float64())
    others = emptied(words, usual).dictionary_encode()
    read = [_number(word) for word in others.dictionary.to_pylist()]
    numbers = pc.coalesce(numbers, pa.array(read, pa.float64()).take(others.indices))
    return numbers, flags(pc.and_(pc.is_null(numbers), pc.is_valid(words)))


def _number(word: str) -> float | None:
    try:
        return float(word) if word.isascii() and "_" not in word else None
    except ValueError:
        return None
