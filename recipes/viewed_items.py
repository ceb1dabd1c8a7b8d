"""What users of a shop have viewed: as pairs, as lists of their own, and among the targets of a report."""

import numpy as np
import pandas as pd

from torchrec_ext.evaluation import Report


def pairs_of(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each pair of user and item, with 1 or 0 in a column for each type of event."""
    types = ("view", "cart", "purchase")
    made = frame[["user", "item"]].assign(**{kind: frame["type"].eq(kind).astype(float) for kind in types})
    return made.groupby(["user", "item"], as_index=False).max()


def marked(frame: pd.DataFrame) -> pd.DataFrame:
    """Marks the last training purchase of each user as valid; held-out views and carts are not read."""
    frame = frame[(frame["split"] == "train") | (frame["type"] == "purchase")].astype({"split": str})
    bought = frame[(frame["type"] == "purchase") & (frame["split"] == "train")]
    last = ~bought.duplicated("user", keep="last") & bought.duplicated("user", keep="first")
    frame.loc[bought.index[last], "split"] = "valid"
    return frame


def not_bought(frame: pd.DataFrame) -> pd.MultiIndex:
    """The pairs of user and item of every event but purchases."""
    return pd.MultiIndex.from_frame(frame.loc[frame["type"] != "purchase", ["user", "item"]])


def from_views(frame: pd.DataFrame) -> dict[str, float]:
    """Lists of what a user viewed and did not buy, by the share of an item's viewers who bought it."""
    viewed = pairs_of(frame[frame["split"] != "test"]).query("view > 0 or cart > 0")
    items = viewed.groupby("item")["purchase"].agg(["sum", "count"])
    left = viewed[viewed["purchase"] == 0]  # shares are drawn towards 1/20 where few have viewed the item
    left = left.assign(score=left["item"].map((items["sum"] + 1) / (items["count"] + 20)))
    left["rank"] = left.groupby("user")["score"].rank(ascending=False, method="first")
    ranks = frame[frame["split"] == "test"].merge(left, "left", on=["user", "item"])["rank"]
    gains = np.where(ranks <= 10, 1 / np.log2(ranks.fillna(1) + 1), 0)
    found = {"hr@10": (ranks <= 10).mean(), "ndcg@10": gains.mean(), "hr@50": (ranks <= 50).mean()}
    return {**found, "hr@10 viewed": (ranks[ranks.notna()] <= 10).mean(), "hr@10 not viewed": 0.0}


def by_view(report: Report, others: pd.MultiIndex) -> dict[str, float]:
    """The hits among targets that the user has also viewed or put into the cart, and among the others."""
    assert report.per_user is not None
    ranks = report.per_user.users.select(["user", "targets", "ranks"]).to_pandas()
    ranks = ranks.explode(["targets", "ranks"])
    seen = pd.MultiIndex.from_frame(ranks[["user", "targets"]]).isin(others)
    hits = ranks["ranks"].astype(int).between(1, 10)
    return {"hr@10 viewed": float(hits[seen].mean()), "hr@10 not viewed": float(hits[~seen].mean())}
