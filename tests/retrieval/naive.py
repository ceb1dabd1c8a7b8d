"""Lists worked out from the whole matrix of scores, which predict() gives pair by pair."""

from collections.abc import Callable, Sequence

import pandas as pd

from torchrec_ext.data import Events
from torchrec_ext.retrieval import TrainedModel, predict


def naive_lists(
    model: TrainedModel,
    events: Events,
    users: Sequence,
    k: int,
    allowed: Callable[[object, object], bool] = lambda user, item: True,
    *,
    context: pd.DataFrame | None = None,
    exclude_seen: bool = True,
) -> pd.DataFrame:
    """Columns user, item, score and rank.

    Args:
        model: any.
        events: known now.
        users: known ones.
        k: length of the lists.
        allowed: whether a user may get an item.
        context: a row for each user, in their order.
        exclude_seen: leaves out the items of a user's events.
    """
    items = model.preparation.vocabularies["item"].index
    pairs = pd.MultiIndex.from_product([users, items], names=["user", "item"]).to_frame(index=False)
    if context is not None:
        of_users = context.assign(user=users)
        pairs = pairs.merge(of_users, on="user", how="left")
    scored = predict(model, events, pairs)
    seen = set(zip(events.frame["user"], events.frame["item"], strict=True)) if exclude_seen else set()
    kept = [
        (user, item) not in seen and allowed(user, item)
        for user, item in zip(scored["user"], scored["item"], strict=True)
    ]
    scored = scored[kept].assign(place=lambda f: f["user"].map({u: p for p, u in enumerate(users)}))
    scored = scored.sort_values(["place", "score"], ascending=[True, False], kind="stable")
    scored["rank"] = scored.groupby("place").cumcount() + 1
    return scored[scored["rank"] <= k][["user", "item", "score", "rank"]].reset_index(drop=True)


def expect_lists(lists: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Asserts that lists of the model are these."""
    assert set(lists["source"]) <= {"model"}
    pd.testing.assert_frame_equal(
        lists.drop(columns="source"), expected, check_dtype=False, atol=1e-5, rtol=1e-5
    )
