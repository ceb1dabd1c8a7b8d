"""Category: a column of ids as rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.data.features.category_ids import as_ids, filled
from torchrec_ext.data.features.hashed_vocabulary import HashedVocabulary
from torchrec_ext.data.features.missing import Values
from torchrec_ext.data.features.plain import (
    WORD_OR_INTEGER,
    expect_options,
    one_of,
    optional,
    plain,
    read,
    whole,
)  # fmt: skip
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError

MISSING = ("unknown", "drop", "constant", "most_frequent")


@dataclass(frozen=True)
class Category:
    """What to make of a column of integers or strings.

    Args:
        missing: what stands in for a missing value: row 0, that of ``unknown`` values; the
            ``most_frequent`` value of training (of several the first to come); or a ``constant``, which
            has a row of its own if training has a missing value or that very one; ``drop``: its row is
            left out of training, and where it cannot be left out row 0 stands in.
        fill: what ``constant`` takes.
        min_count: a value that stands fewer times in training shares row 0.
        hash: over how many rows values are spread by a hash; no vocabulary is kept then.

    Raises:
        InputError: if an option is none of these, or has no effect beside the others.
    """

    missing: str = "unknown"
    fill: str | int | None = None
    min_count: int = 1
    hash: int | None = None

    def __post_init__(self) -> None:
        expect_options(
            self,
            missing=one_of(MISSING),
            fill=optional(WORD_OR_INTEGER),
            min_count=whole(1),
            hash=optional(whole(1)),
        )
        if self.missing == "constant" and self.fill is None:
            raise InputError("Category.missing='constant' needs a value; set fill too")
        if self.fill is not None and self.missing != "constant":
            raise InputError(
                f"Category.fill={self.fill!r} has no effect with missing={self.missing!r}; "
                "set missing='constant'"
            )
        if self.hash is not None and self.min_count > 1:
            raise InputError(
                f"Category.min_count={self.min_count} has no effect with hash, which counts no values; "
                "leave one of them out"
            )


@dataclass(frozen=True, eq=False)
class FittedCategory:
    """A column of ids as it was fitted on the training part.

    Args:
        options: what was declared.
        most_frequent: the most frequent value of training; None if all are missing.
        vocabulary: value -> row; one that is no hash is kept apart from the JSON, in a file of its own.

    Example:
        >>> fitted = fit_category(["b", "a", None, "a"], Category("most_frequent"))
        >>> fitted.apply(["b", "a", "z", None]), fitted.rows
        (array([1, 2, 0, 2]), 3)
    """

    options: Category
    most_frequent: str | int | None
    vocabulary: Vocabulary | HashedVocabulary

    width = 0
    """A value becomes a row, not numbers."""

    @property
    def rows(self) -> int:
        """How many rows the table has, row 0 included."""
        return len(self.vocabulary)

    def kept(self, values: Values) -> np.ndarray:
        """(n,) bool, which values may be trained on: all but those that ``drop`` leaves out."""
        dropped = as_ids(values).isna().to_numpy() & (self.options.missing == "drop")
        return ~dropped

    def apply(self, values: Values) -> np.ndarray:
        """(n,) int64 rows of n values.

        Raises:
            InputError: if they are neither integers nor strings.
        """
        return self.vocabulary.rows(filled(as_ids(values), _stand_in(self.options, self.most_frequent)))

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the vocabulary, that ``from_json`` reads."""
        return {"kind": "category", "options": plain(self.options), "most_frequent": self.most_frequent}

    @classmethod
    def from_json(
        cls, found: Mapping[str, Any], options: Category, vocabulary: Vocabulary | None
    ) -> "FittedCategory":
        """Reads what :meth:`to_json` made but its kind and options; raises InputError if it is not that."""
        kept = read("a category", found, {"most_frequent": optional(WORD_OR_INTEGER)})
        if options.hash is not None:
            return cls(options, kept["most_frequent"], HashedVocabulary(options.hash))
        if vocabulary is None:
            raise InputError("a category without hash needs its vocabulary; load it and hand it over too")
        return cls(options, kept["most_frequent"], vocabulary)


def fit_category(values: Values, options: Category, vocabulary: Vocabulary | None = None) -> FittedCategory:
    """Learns the most frequent value and the vocabulary.

    Args:
        values: ids of the training part alone.
        options: what to make of them.
        vocabulary: one to take instead, such as that of a catalogue.

    Raises:
        InputError: if the values are neither integers nor strings, or a vocabulary is given beside a hash.
    """
    codes, words = pd.factorize(as_ids(values))
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    return fit_counted(pd.Index(words), counts, int((codes < 0).sum()), options, vocabulary)


def fit_counted(
    words: pd.Index,
    counts: np.ndarray,
    missing: int,
    options: Category,
    vocabulary: Vocabulary | None = None,
) -> FittedCategory:
    """Learns the same from distinct values and how often each stands.

    Args:
        words: the distinct ids of the training part, in order of first appearance.
        counts: (words,) how often each stands.
        missing: how many values are missing.
        options: what to make of them.
        vocabulary: one to take instead, such as that of a catalogue.

    Raises:
        InputError: if a vocabulary is given beside a hash.
    """
    found = words[int(np.argmax(counts))] if len(words) else None
    most = found if found is None or isinstance(found, str) else int(found)
    if options.hash is not None:
        if vocabulary is not None:
            raise InputError(
                f"Category.hash={options.hash} keeps no vocabulary, received one; leave one of them out"
            )
        return FittedCategory(options, most, HashedVocabulary(options.hash))
    stand_in = _stand_in(options, most)
    if vocabulary is None:
        if missing and stand_in is not None:
            if isinstance(stand_in, str) == pd.api.types.is_integer_dtype(words.dtype):
                words, stand_in = words.astype(str), str(stand_in)  # of two kinds, both as strings
            own = words == stand_in
            if own.any():
                counts = counts + missing * own
            else:
                words, counts = pd.Index([*words, stand_in]), np.append(counts, missing)
        vocabulary = Vocabulary(words[counts >= options.min_count])
    return FittedCategory(options, most, vocabulary)


def _stand_in(options: Category, most: str | int | None) -> str | int | None:
    """What a missing value becomes; None: row 0."""
    return {"constant": options.fill, "most_frequent": most}.get(options.missing)
