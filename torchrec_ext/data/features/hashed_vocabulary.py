"""HashedVocabulary: rows of ids by a hash, so that no vocabulary has to be kept."""

from dataclasses import dataclass

import numpy as np
from pandas.util import hash_array

from torchrec_ext.data.features.category_ids import as_ids
from torchrec_ext.data.features.missing import Values


@dataclass(frozen=True)
class HashedVocabulary:
    """Rows by a hash; ids share a row by chance, and none is unknown.

    The hash is SipHash of the id's UTF-8 bytes under a fixed key, as pandas computes it, so a row is the
    same in every process and release. An integer has the row of the string that spells it.

    Args:
        size: over how many rows ids are spread.

    Example:
        >>> words = HashedVocabulary(1000)
        >>> words.rows(["a", 7, "7", None]), len(words)
        (array([505, 353, 353,   0]), 1001)
    """

    size: int

    def __len__(self) -> int:
        """Number of rows, row 0 for what is missing included."""
        return self.size + 1

    def rows(self, ids: Values) -> np.ndarray:
        """(n,) int64 rows of n ids, 0 for a missing one.

        Raises:
            InputError: if they are neither integers nor strings.
        """
        column = as_ids(ids)
        there = column.notna().to_numpy()
        rows = np.zeros(len(column), np.int64)
        # one by one: pandas 2 takes words that differ after a NUL for equal when it looks for distinct ones
        hashes = hash_array(column[there].astype(str).to_numpy(dtype=object), categorize=False)
        rows[there] = hashes % np.uint64(self.size) + np.uint64(1)
        return rows
