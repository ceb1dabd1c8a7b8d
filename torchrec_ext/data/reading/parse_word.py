"""Ids, categories and types of events: words or integers, ids never changed on the way."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.as_written import floats_as_written
from torchrec_ext.data.reading.parsed import Parsed, bad_rows, emptied, flags
from torchrec_ext.data.reading.rejects import BROKEN_ENCODING, UNKNOWN_TYPE
from torchrec_ext.errors import InputError


def parse_id(values: pa.Array, where: str) -> Parsed:
    """Ids as they are: words as string, integers as int64.

    Args:
        values: (rows,) as the table holds them.
        where: names the column in messages.

    Raises:
        InputError: if the column holds neither words nor integers of 64 bits.

    Example:
        >>> parse_id(pa.array(["007", "NA"]), "column 'user'").values.to_pylist()
        ['007', 'NA']
    """
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_null(kind):
        return Parsed(values)
    if pa.types.is_binary(kind):
        return decode(values)
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) and kind.scale == 0:
        try:
            return Parsed(values.cast(pa.int64()))
        except pa.ArrowInvalid as error:
            raise InputError(
                f"id {pc.max(values).as_py()} of {where} is beyond 64 bits; make the ids strings with "
                "astype(str)"
            ) from error
    if pa.types.is_boolean(kind):
        raise InputError(f"ids of {where} are booleans; ids must be integers or strings")
    if pa.types.is_floating(kind):
        there = values.drop_null()
        if not len(there):
            return Parsed(pa.nulls(len(values)))
        raise InputError(
            f"ids of {where} are floats (such as {there[0].as_py()}); ids must be integers or strings. "
            "Missing values turn integers into floats: drop them and use astype('int64'), or astype('Int64')"
        )
    raise InputError(f"ids of {where} are of type {kind}; ids must be integers or strings")


def parse_category(values: pa.Array, where: str) -> Parsed:
    """Categories: words as string, integers as int64, other single values as the words that write them.

    Whole floats are written without a point, since missing values turn integers into floats.

    Raises:
        InputError: if the column holds lists or records.
    """
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_null(kind):
        return Parsed(values)
    if pa.types.is_binary(kind):
        return decode(values)
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return Parsed(values.cast(pa.int64()))
    if pa.types.is_floating(kind):
        values = floats_as_written(values)
        return Parsed(values_in_words(emptied(values, flags(pc.is_nan(values)))))
    if pa.types.is_nested(kind):
        raise InputError(
            f"{where} holds values of type {kind}, expected single ones; is it of kind 'categories'?"
        )
    return Parsed(values.cast(pa.string()))


def parse_type(values: pa.Array, names: Mapping[str, str] | None, where: str) -> Parsed:
    """Types of events as string, by the names they have among us.

    Args:
        values: (rows,) as the table holds them.
        names: the table's types to ours; None keeps the table's.
        where: names the column in messages.

    Example:
        >>> parse_type(pa.array([1, 2, 3]), {"1": "view", "2": "buy"}, "column 'type'").values.to_pylist()
        ['view', 'buy', None]
    """
    words, bad = parse_category(values, where)
    words = words.cast(pa.string())
    if names is None:
        return Parsed(words, bad)
    places = pc.index_in(words, value_set=pa.array([str(n) for n in names], pa.string()), skip_nulls=True)
    ours = pa.array(list(names.values()), pa.string()).take(places)
    unknown = flags(pc.and_(pc.is_null(ours), pc.is_valid(words)))
    return Parsed(ours, bad + bad_rows((unknown, UNKNOWN_TYPE)))


def parse_auto(values: pa.Array) -> Parsed:
    """Values as they are, in few types: words, int64, float64, and what else there is."""
    kind = values.type
    if pa.types.is_binary(kind):
        return decode(values)
    if pa.types.is_integer(kind):  # half of the largest unsigned ones are beyond int64
        return Parsed(values.cast(pa.int64() if kind != pa.uint64() else pa.string()))
    return Parsed(floats_as_written(values) if pa.types.is_floating(kind) else values)


def decode(values: pa.Array) -> Parsed:
    """Bytes as the UTF-8 they should be."""
    try:
        return Parsed(values.cast(pa.string()))
    except pa.ArrowInvalid:
        words = [_decoded(value) for value in values.to_pylist()]
        bad = flags(values.is_valid()) & np.array([word is None for word in words])
        return Parsed(pa.array(words, pa.string()), bad_rows((bad, BROKEN_ENCODING)))


def values_in_words(values: pa.Array) -> pa.Array:
    """Floats as words, the whole ones among them without a point."""
    whole = flags(pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**53)))
    integers = emptied(values, ~whole).cast(pa.int64(), safe=False)
    return pc.coalesce(integers.cast(pa.string()), values.cast(pa.string()))


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
