"""The k-core against sets of events that shrink one at a time."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchrec_ext.data.cleaning.k_core import k_core
from torchrec_ext.data.coded import Coded
from torchrec_ext.errors import InputError

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40)


def coded(pairs):
    return [Coded.of(pd.Series([pair[side] for pair in pairs], dtype=np.int64)) for side in (0, 1)]


def naive(pairs, user_k, item_k):
    """Rows of the core: one row that has too few companions leaves at a time."""
    rows = set(range(len(pairs)))
    while True:
        for row in rows:
            of_user = sum(pairs[other][0] == pairs[row][0] for other in rows)
            of_item = sum(pairs[other][1] == pairs[row][1] for other in rows)
            if of_user < user_k or of_item < item_k:
                rows.remove(row)
                break
        else:
            return sorted(rows)


@given(PAIRS, st.integers(1, 4), st.integers(1, 4))
def test_it_is_what_is_left_of_leaving_one_at_a_time(pairs, user_k, item_k):
    kept = k_core(*coded(pairs), user_k, item_k)
    assert np.flatnonzero(kept).tolist() == naive(pairs, user_k, item_k)


def test_a_chain_unravels_from_its_ends_and_leaves_a_ring():
    ring = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 0)]
    chain = [(10 + n, 20 + n) for n in range(50)] + [(10 + n, 21 + n) for n in range(50)]
    assert np.flatnonzero(k_core(*coded(chain + ring), 2, 2)).tolist() == list(range(100, 106))


def test_words_without_a_value_do_not_matter():
    users, items = (column.take(np.array([2, 3])) for column in coded([(0, 0), (1, 1), (2, 2), (2, 2)]))
    assert k_core(users, items, 2, 2).tolist() == [True, True]


def test_a_number_below_one_is_refused():
    with pytest.raises(InputError, match="item_k should be at least 1, received 0"):
        k_core(*coded([(0, 0)]), 1, 0)
