"""Dictionary: the distinct values of a column whose batches come one after the other, and their codes."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.as_written import shown
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

_WIDEST = 1 << 24


class Dictionary:
    """Gives each distinct value a code, in order of first appearance.

    Integers and text that writes them are one value, so that a CSV and a Parquet file agree on their ids.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.words: pa.Array = pa.array([], pa.int64())
        self.text = True
        self.first: dict[str, int | str] = {}  # a value of each type of typed tables

    def add(self, values: pa.Array, text: bool) -> pa.Array:
        """(n,) int32 codes of strings or integers, null for a null.

        In a text file 7 may be meant as a number or as a string.
        """
        if len(values) > values.null_count:
            self.text &= text
            if not text:
                kind = "integer" if pa.types.is_integer(values.type) else "string"
                self.first.setdefault(kind, values.drop_null()[0].as_py())
        whole = pa.types.is_integer(self.words.type)
        if pa.types.is_integer(values.type):
            values = values.cast(pa.int64() if whole else pa.string())
        elif whole:
            integers = as_integers(values) if text else None
            if integers is None:  # they are written as Python writes them, so that the codes stay
                self.words = self.words.cast(pa.string())
            else:
                values = integers
        if pa.types.is_integer(values.type) and (codes := self._look_up(values)) is not None:
            return codes
        before, both = len(self.words), pa.concat_arrays([self.words, values]).dictionary_encode()
        self.words = both.dictionary
        return both.indices[before:]

    def _look_up(self, values: pa.Array) -> pa.Array | None:
        """Codes of integers from a table, several times as fast as hashing them; None if it would be long."""
        known, found = self.words.to_numpy(), values.drop_null().to_numpy()
        both = np.append(known, found)
        if not len(both) or int(both.max()) - int(low := both.min()) >= _WIDEST:
            return None
        table = np.full(both.max() - low + 1, -1, np.int32)
        table[known - low] = np.arange(len(known))
        new = pd.unique(found[table[found - low] < 0])
        table[new - low] = np.arange(len(known), len(known) + len(new))
        self.words = pa.array(np.append(known, new))
        codes = pa.array(table[found - low])
        if not values.null_count:
            return codes
        return pc.replace_with_mask(pa.nulls(len(values), pa.int32()), values.is_valid(), codes)

    def add_json(self, values: pa.Array, strings: pa.Array) -> pa.Array:
        """The same of ids in JSON, all as text, of which some are strings and the others integers."""
        for kind, flags in (("string", strings), ("integer", pc.invert(strings))):
            some = values.filter(flags).drop_null()
            if len(some):
                self.first.setdefault(kind, some[0].as_py())
        return self.add(values if pc.any(strings).as_py() else values.cast(pa.int64()), False)

    def expect_one_type(self) -> None:
        """Refuses integers of typed tables beside strings, or beside text that is not an integer."""
        if "integer" not in self.first or pa.types.is_integer(self.words.type):
            return
        odd = self.first.get("string") or next(
            word for word in self.words.to_pylist() if as_integers(pa.array([word])) is None
        )
        raise InputError(
            f"{self.where} holds integers ({self.first['integer']}) and strings ({odd!r}); make both the "
            "same type, with astype(str)"
        )


def unify_id_types(dictionaries: Sequence[Dictionary]) -> None:
    """Makes the ids of one entity (events, side tables) integers in all dictionaries or strings in all.

    Ids from a text file become integers only if every one is written as Python writes that integer, so that
    ``007`` stays ``007``. Ids from a typed table keep their type.
    """
    fixed: dict[bool, Dictionary] = {}
    for dictionary in dictionaries:
        dictionary.expect_one_type()
        whole = pa.types.is_integer(dictionary.words.type)
        if len(dictionary.words) and not (dictionary.text and whole):
            fixed[whole] = dictionary
    if len(fixed) == 2:
        number, word = fixed[True], fixed[False]
        raise InputError(
            f"ids of {number.where} are integers ({shown(number.words[0].as_py())}), ids of {word.where} "
            f"strings ({shown(word.words[0].as_py())}); make both the same type, with astype(str)"
        )
    for dictionary in dictionaries if False in fixed else ():
        words = dictionary.words = dictionary.words.cast(pa.string())
        if dictionary.text and len(words) and pc.all(pc.match_substring_regex(words, r"^-?\d+\.0$")).as_py():
            where = dictionary.where
            log.warning("ids of %s look like integers turned into floats: %s stays as it is", where, words[0])


def as_integers(values: pa.Array) -> pa.Array | None:
    """(n,) text as int64; None if not every value is written as Python writes that integer.

    Arrow also reads integers that start with a needless 0, such as 007, -0 or 0x1F.
    """
    try:
        found = values.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    there = values.drop_null() if values.null_count else values
    if len(there):
        starts = np.frombuffer(there.buffers()[1], np.int32)[there.offset : there.offset + len(there) + 1]
        data = np.frombuffer(there.buffers()[2], np.uint8)
        first, longer = data[starts[:-1]], starts[1:] - starts[:-1] > 1
        negative = np.flatnonzero(first == ord("-"))
        if (longer & (first == ord("0"))).any() or (data[starts[negative] + 1] == ord("0")).any():
            return None
    return found
