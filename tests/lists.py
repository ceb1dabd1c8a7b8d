"""Comparing frames of recommended items."""

import numpy as np
import pandas as pd


def assert_same_lists(found: pd.DataFrame, wanted: pd.DataFrame, tolerance: float) -> None:
    """The same users, ranks and sources; the same scores and items, up to ties within ``tolerance``.

    Scores count relative to the best of the list: a softmax leaves open what is added to all of them.
    """
    assert found.columns.tolist() == wanted.columns.tolist() == ["user", "item", "score", "rank", "source"]
    pd.testing.assert_frame_equal(found[["user", "rank", "source"]], wanted[["user", "rank", "source"]])
    found, wanted = (
        lists.assign(score=lists["score"] - lists.groupby("user")["score"].transform("max"))
        for lists in (found, wanted)
    )
    np.testing.assert_allclose(found["score"], wanted["score"], atol=tolerance)
    both = found.merge(wanted, on=["user", "item"], how="outer", suffixes=("_found", "_wanted"))
    common = both.dropna()
    np.testing.assert_allclose(common["score_found"], common["score_wanted"], atol=tolerance)
    alone = both[both["score_found"].isna() | both["score_wanted"].isna()]
    last = wanted.groupby("user")["score"].min()
    scores = alone["score_found"].fillna(alone["score_wanted"])
    np.testing.assert_allclose(scores, alone["user"].map(last), atol=tolerance, err_msg="in one list alone")
