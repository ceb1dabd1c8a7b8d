"""Objects of Python whose types may differ, from JSON or a DataFrame, as one Arrow array."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.reading.parsed import Parsed, bad_rows
from torchrec_ext.data.reading.rejects import NOT_A_VALUE, NOT_AN_ID, UNPARSABLE_NUMBER, UNPARSABLE_TIME
from torchrec_ext.data.reading.typed_blocks import plain
from torchrec_ext.data.sources.column_spec import Kind
from torchrec_ext.errors import InputError

_REASONS = {
    "id": NOT_AN_ID,
    "number": UNPARSABLE_NUMBER,
    "vector": UNPARSABLE_NUMBER,
    "time": UNPARSABLE_TIME,
}
_REFUSED = (pa.ArrowException, TypeError, ValueError, OverflowError)


def array_of(objects: Sequence[object], kind: Kind, where: str) -> Parsed:
    """One Arrow array: as it is if all objects are of one type, else in words.

    Args:
        objects: (rows,) None, NaN and NaT are missing.
        kind: what the column should hold.
        where: names the column in messages.

    Raises:
        InputError: if ids are integers here and strings there, or bytes.
    """
    if kind == "id":
        return _ids(objects, where)
    try:
        values = plain(pa.array(objects, from_pandas=True))
        lists = pa.types.is_list(values.type)
        if (
            kind == "auto"
            or lists == (kind in ("categories", "vector"))
            and not pa.types.is_struct(values.type)
        ):
            return Parsed(values)
        if (
            pa.types.is_string(values.type)
            or pa.types.is_null(values.type)
            or not pa.types.is_nested(values.type)
        ):
            return Parsed(values)
    except _REFUSED:
        pass
    listed = kind in ("categories", "vector") and any(
        isinstance(o, list | tuple | np.ndarray) for o in objects
    )
    words = [_in_words(o, listed) for o in objects]
    bad = np.array(
        [w is None and not _is_missing(o) for w, o in zip(words, objects, strict=True)], dtype=bool
    )
    kind_of_list = pa.list_(pa.string()) if listed else pa.string()
    return Parsed(pa.array(words, kind_of_list), bad_rows((bad, _REASONS.get(kind, NOT_A_VALUE))))


def _ids(objects: Sequence[object], where: str) -> Parsed:
    types = set(map(type, objects))
    if types <= {int, type(None)} or types <= {str, type(None)}:
        try:
            return Parsed(plain(pa.array(objects)))
        except _REFUSED:
            pass
    good = [_id(o) for o in objects]
    samples: dict[type, int | str] = {}
    for known in good:
        if known is not None:
            samples.setdefault(type(known), known)
    if len(samples) > 1:
        raise InputError(
            f"ids of {where} are mixed: {', '.join(map(repr, samples.values()))}; ids must be all integers "
            "or all strings, convert them with astype(str)"
        )
    foreign = next((o for o in objects if isinstance(o, bytes)), None)
    if foreign is not None:
        raise InputError(
            f"ids of {where} are bytes: {foreign!r:.60}; decode them, ids must be integers or strings"
        )
    bad = np.array([g is None and not _is_missing(o) for g, o in zip(good, objects, strict=True)], dtype=bool)
    type_ = {int: pa.int64(), str: pa.string()}.get(next(iter(samples), type(None)), pa.null())
    return Parsed(pa.array(good, type_), bad_rows((bad, NOT_AN_ID)))


def _id(value: object) -> int | str | None:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value) if -(2**63) <= int(value) < 2**63 else None
    return str(value) if isinstance(value, str) and _is_unicode(value) else None


def _in_words(value: object, listed: bool) -> str | list[str] | None:
    """A single value in words, a list in words where lists are wanted; None for anything else."""
    if _is_missing(value):
        return None
    if isinstance(value, list | tuple | np.ndarray):
        if not listed:
            return None
        words = [_in_words(v, False) for v in value]
        known = [w for w, v in zip(words, value, strict=True) if w is not None or _is_missing(v)]
        return known if len(known) == len(words) else None  # type: ignore[return-value]
    if isinstance(value, dict):
        return None
    if isinstance(value, bool):
        word = str(value).lower()
    elif isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        word = str(int(value))
    else:
        word = str(value)
    if not _is_unicode(word):
        return None
    return [word] if listed else word


def _is_unicode(word: str) -> bool:
    """JSON may hold half of a surrogate pair, which UTF-8 cannot."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or isinstance(value, float) and value != value
