"""Category: a column of ids as rows of a table."""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.util import hash_array
from pydantic import Field

from torchrec_ext.data.checked import checked
from torchrec_ext.data.columns import codes_of, numbers_of, used
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError

Positive = Annotated[int, Field(ge=1)]


@checked
class Category:
    """What to make of a column of integers or strings; InputError for wrong or idle options.

    Args:
        missing: what stands in for a missing value: row 0, that of ``unknown`` values; the
            ``most_frequent`` value of training (of several the first to come); or a ``constant``, which
            has a row of its own if training has a missing value or that very one; ``drop``: its row is
            left out of training, and where it cannot be left out row 0 stands in.
        fill: what ``constant`` takes.
        min_count: a value that stands fewer times in training shares row 0.
        hash: over how many rows values are spread by a hash; no vocabulary is kept then.
        refers: the values are ids of users or of items, such as those of a user's friends, and share the rows
            of their table; an id that training has not learnt from shares row 0.
    """

    missing: Literal["unknown", "drop", "constant", "most_frequent"] = "unknown"
    fill: str | int | None = None
    min_count: Positive = 1
    hash: Positive | None = None
    refers: Literal["user", "item"] | None = None

    def __post_init__(self) -> None:
        if (self.fill is None) == (self.missing == "constant"):
            raise InputError(
                f"Category.fill={self.fill!r} does not go with missing={self.missing!r}; set fill and "
                "missing='constant', or neither"
            )
        if self.hash is not None and self.min_count > 1:
            raise InputError(
                f"Category.min_count={self.min_count} has no effect with hash, which counts no values; "
                "leave one of them out"
            )
        own = self.hash is not None or self.min_count > 1
        if self.refers is not None and (own or self.missing not in ("unknown", "drop")):
            raise InputError(
                f"Category.refers={self.refers!r} takes the rows of {self.refers}s; leave out hash and "
                "min_count, and choose missing='unknown' or 'drop'"
            )

    def fit(self, values: pa.Array) -> "FittedCategory":
        """Learns the vocabulary from the training part; InputError if values are not integers or strings."""
        column = used(_dictionary(values))
        codes, words = codes_of(column), pd.Index(_as_ids(column.dictionary))
        counts, missing = np.bincount(codes[codes >= 0], minlength=len(words)), int((codes < 0).sum())
        most = words[[np.argmax(counts)]].tolist()[0] if len(words) else None
        if self.hash is not None or self.refers is not None:
            return FittedCategory(self, most)
        stand_in = _stand_in(self, most)
        if missing and stand_in is not None:
            if isinstance(stand_in, str) == pd.api.types.is_integer_dtype(words.dtype):
                words, stand_in = words.astype(str), str(stand_in)  # of two kinds, both as strings
            own = words == stand_in
            if own.any():
                counts = counts + missing * own
            else:
                words, counts = pd.Index([*words, stand_in]), np.append(counts, missing)
        return FittedCategory(self, most, Vocabulary(words[counts >= self.min_count]))


@checked
class FittedCategory:
    """A column of ids as it was fitted on the training part.

    The vocabulary, None of a hash, is kept apart from the JSON in a file of its own; that of ids which
    refer to users or items is theirs.
    """

    options: Category
    most_frequent: str | int | None
    vocabulary: Vocabulary | None = None
    width = 0

    @property
    def rows(self) -> int:
        return (self.options.hash or 0) + 1 if self.vocabulary is None else len(self.vocabulary)

    def transform(self, values: pa.Array) -> np.ndarray:
        """(N,) int32 rows of N values, each distinct one looked up once."""
        column = _dictionary(values)
        stand_in = _stand_in(self.options, self.most_frequent)
        of_missing = 0 if stand_in is None else self._rows([stand_in])[0]
        rows = np.append(self._rows(_as_ids(column.dictionary)), of_missing).astype(np.int32)
        return rows[codes_of(column)]

    def _rows(self, ids: pd.Series | list[str | int]) -> np.ndarray:
        """Rows of ids; by a hash that is SipHash of their UTF-8 bytes, alike in every process and release."""
        if self.vocabulary is not None:
            return self.vocabulary.rows(ids)
        words = pd.Series(ids, dtype=object).astype(str).to_numpy(dtype=object)
        # one by one: pandas 2 takes words that differ after a NUL for equal when it looks for distinct ones
        return hash_array(words, categorize=False) % np.uint64(self.options.hash or 1) + np.uint64(1)


def _stand_in(options: Category, most_frequent: str | int | None) -> str | int | None:
    """What a missing value becomes; None: row 0."""
    return {"constant": options.fill, "most_frequent": most_frequent}.get(options.missing)


def _dictionary(values: pa.Array) -> pa.DictionaryArray:
    """The column as a dictionary of its values; NaN is missing."""
    if pa.types.is_nested(values.type):
        raise InputError(f"a category should hold integers or strings, received {values.type}")
    if pa.types.is_floating(values.type):
        values = pa.array(numbers_of(values), from_pandas=True)
    return values.dictionary_encode()


def _as_ids(words: pa.Array) -> pd.Series:
    """Words as integers or strings: flags, and floats that are whole, are integers."""
    if pa.types.is_null(words.type):
        words = words.cast(pa.string())
    if not (pa.types.is_string(words.type) or pa.types.is_large_string(words.type)):
        try:
            if pa.types.is_temporal(words.type):
                raise pa.ArrowInvalid(f"received {words.type}")
            words = words.cast(pa.int64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"a category should hold integers or strings: {error}; convert it with astype(str)"
            ) from None
    return words.to_pandas()
