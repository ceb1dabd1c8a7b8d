"""within_groups(): by hand, and against a naive computation with ties and groups of one kind."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.evaluation.within_groups import within_groups


def naive(scores, labels, groups, k):
    found = []
    for group in set(groups[~np.isnan(groups)].tolist()):
        s, y = scores[groups == group], labels[groups == group]
        if 0 < y.sum() < len(y):
            ranks = np.array([1 + (s > x).sum() + ((s == x).sum() - 1) / 2 for x in s[y > 0]])
            auc = np.mean([(a > b) + (a == b) / 2 for a in s[y > 0] for b in s[y == 0]])
            gains = sum(1 / math.log2(r + 1) for r in ranks if r <= k)
            ideal = sum(1 / math.log2(r + 1) for r in range(1, min(len(ranks), k) + 1))
            found.append((auc, np.mean(1 / ranks), gains / ideal))
    return len(found), np.mean(found, 0) if found else [math.nan] * 3


def test_by_hand():
    # the click of group 1 is second of three, both clicks of group 2 are first, group 3 has no other pair
    scores = np.array([0.9, 0.5, 0.1, 0.8, 0.7, 0.2, 0.3])
    labels = np.array([0, 1, 0, 1, 1, 0, 1])
    figures = within_groups(scores, labels, np.array([1.0, 1, 1, 2, 2, 2, 3]), ks=(1, 2))
    assert figures["groups"] == 2 and figures["group_auc"] == pytest.approx((0.5 + 1) / 2)
    assert figures["group_mrr"] == pytest.approx((1 / 2 + (1 + 1 / 2) / 2) / 2)
    assert figures["group_ndcg@1"] == pytest.approx((0 + 1) / 2)
    assert figures["group_ndcg@2"] == pytest.approx((1 / math.log2(3) + 1) / 2)


PAIRS = st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from([0.0, 1.0, 2.0, math.nan]))


@settings(max_examples=60, deadline=None)
@given(st.lists(PAIRS, max_size=30), st.integers(1, 4))
def test_it_equals_a_loop_over_groups(pairs, k):
    scores, labels, groups = (np.array([pair[i] for pair in pairs], float) for i in range(3))
    count, (auc, mrr, ndcg) = naive(scores, labels, groups, k)
    found = within_groups(scores, labels, groups, ks=(k,))
    assert found["groups"] == count
    names = ("group_auc", "group_mrr", f"group_ndcg@{k}")
    np.testing.assert_allclose([found[n] for n in names], [auc, mrr, ndcg], atol=1e-12)
