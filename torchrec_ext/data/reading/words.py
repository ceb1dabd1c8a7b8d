"""Words: the distinct values of a column whose blocks come one after the other, and the code of each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.reading.ids import IdColumn, are_integers, to_one_kind
from torchrec_ext.errors import InputError


class Words:
    """Gives each distinct value a code, in order of first appearance.

    Integers of typed tables and words of text files are one value if they are written alike, so that a
    CSV and a Parquet file of one log agree on their ids.

    Args:
        where: names the column in messages.

    Example:
        >>> words = Words("column 'item'")
        >>> words.add(pa.array(["7", None, "x"]), text=True), words.add(pa.array(["x", "8"]), text=True)
        (array([ 0, -1,  1], dtype=int32), array([1, 2], dtype=int32))
        >>> list(words.finish())
        ['7', 'x', '8']
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._codes: dict[str, int] = {}
        self._text = False
        # one value of each type that typed tables hold
        self._integer: str | None = None
        self._string: str | None = None
        self._settled: pd.Index | None = None

    def add(self, values: pa.Array, text: bool) -> np.ndarray:
        """(n,) int32 codes of n values, -1 for a null.

        Args:
            values: words, integers or whatever writes as a word.
            text: whether they come from a text file, where 7 may be meant as a number or as a word.

        Raises:
            InputError: for records, lists and whatever else writes no word.
        """
        if pa.types.is_null(values.type):
            return np.full(len(values), -1, np.int32)
        try:
            coded = values.dictionary_encode()
            words = coded.dictionary.cast(pa.string()).to_pylist()
        except pa.ArrowNotImplementedError:
            raise InputError(
                f"{self.where} holds values of type {values.type}, of which no category can be made; leave "
                "it out by mapping its name to None in columns, or convert it"
            ) from None
        # each is looked up in order, and a new one gets the next code
        codes = np.array([*(self._codes.setdefault(w, len(self._codes)) for w in words), -1], np.int32)
        if text:
            self._text = True
        elif words and pa.types.is_integer(values.type):
            self._integer = self._integer or words[0]
        elif words:
            self._string = self._string or words[0]
        places = coded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
        return codes[places]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._codes)

    def column(self) -> IdColumn:
        """The values in the order of their codes, to be made one kind with those of other tables.

        Raises:
            InputError: if typed tables hold both integers and strings, or text that is no integer beside
                integers.
        """
        words = pa.array(list(self._codes), pa.string())
        other = self._string
        if self._integer is not None and other is None and self._text and not are_integers(words):
            other = next(w for w in self._codes if not are_integers(pa.array([w])))
        if self._integer is not None and other is not None:
            raise InputError(
                f"{self.where} holds integers ({self._integer}) and strings ({other!r}); make both the same "
                "type, with astype(str)"
            )
        if self._integer is not None:
            return IdColumn(words.cast(pa.int64()).to_pandas(), False, self.where)
        return IdColumn(words.to_pandas(), self._text and self._string is None, self.where)

    def finish(self) -> pd.Index:
        """The distinct values in the order of their codes, integers if all are meant so."""
        if self._settled is None:
            settle([self])
        assert self._settled is not None
        return self._settled


def settle(columns: Sequence[Words]) -> None:
    """Makes the values of columns of one entity integers in all of them or strings in all.

    Raises:
        InputError: for ids of two kinds.
    """
    for words, values in zip(columns, to_one_kind([words.column() for words in columns]), strict=True):
        words._settled = pd.Index(values)
