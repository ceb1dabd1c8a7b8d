"""The recipe shop on tiny data: each of its three tables, and what a user has viewed."""

import json

import numpy as np
import pandas as pd
import pytest

from recipes.viewed_items import from_views, pairs_of

SMALL = ("--data", "shop.toml", "--dim", "8", "--epochs", "1", "--overwrite")
DECLARED = """
[[events]]
file = "shop.csv"
[events.columns]
split = { kind = "category" }
session = { kind = "category" }
brand = { kind = "category" }
price = { kind = "number" }
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a shop of 60 users, who buy four of eight viewed items; the last one is held out."""
    rng, rows = np.random.default_rng(0), []
    for user in range(60):
        viewed = rng.choice(56, 8, replace=False)
        for kind, items in (("view", viewed), ("cart", viewed[:3]), ("purchase", viewed[2:6])):
            for item in items:
                held_out = kind == "purchase" and item == viewed[5]
                rows.append((f"u{user}", f"i{item}", kind, "test" if held_out else "train"))
    frame = pd.DataFrame(rows, columns=["user", "item", "type", "split"])
    item = frame["item"].str[1:].astype(int)
    frame["timestamp"], frame["session"] = 1_600_000_000 + np.arange(len(frame)), frame["user"] + "s"
    frame["brand"], frame["price"] = "b" + (item % 3).astype(str), item + 0.5
    folder = tmp_path_factory.mktemp("shop")
    frame.to_csv(folder / "shop.csv", index=False)
    (folder / "shop.toml").write_text(DECLARED)
    return folder


def test_behaviours_stand_beside_their_baselines(warm, shop):
    out = warm.launch("shop", *SMALL, folder=shop).out[0]
    figures = json.loads((shop / "runs" / "shop" / "metrics.json").read_text())
    for name in ("purchases", "views, carts, purchases"):
        assert {name, f"popularity of {name}", f"item-kNN of {name}"} <= set(figures)
    assert {"with types, added", "with types, as scales"} <= set(figures)
    assert all(name in out for name in figures)
    # A viewed item is no known one: each held-out purchase was viewed, and 4 viewed items were not bought.
    own = figures["own views, those often bought first"]
    assert own["hr@10"] == own["hr@10 viewed"] == 1 and own["hr@10 not viewed"] == 0
    assert figures["with types, as scales"]["hr@10 viewed"] > 0
    report = json.loads((shop / "runs" / "shop" / "purchases" / "metrics.json").read_text())
    assert report["counts"]["seen"] == 0


def test_tasks_have_a_figure_each(warm, shop):
    warm.launch("shop", *SMALL, "--show", "tasks", folder=shop)
    figures = json.loads((shop / "runs" / "shop" / "metrics.json").read_text())
    assert list(figures) == ["popularity", "item-kNN", "shared_bottom", "mmoe", "ple", "esmm"]
    assert all(0 < row["auc"] < 1 and 0 < row["purchase_auc"] < 1 for row in figures.values())


@pytest.mark.slow
def test_sessions_on_two_ranks_as_on_one(warm, shop):
    found = []
    for processes in (1, 2):
        warm.launch("shop", *SMALL, "--show", "sessions", folder=shop, processes=processes)
        found.append(json.loads((shop / "runs" / "shop" / "metrics.json").read_text()))
    assert list(found[0])[2:] == ["items", "items + brand", "items + brand + price"]
    for name, row in found[0].items():
        assert row == pytest.approx(found[1][name], abs=0.2), name


def test_without_purchases_it_says_what_else_to_show(warm, shop):
    frame = pd.read_csv(shop / "shop.csv").assign(type="view")
    frame.to_csv(shop / "views.csv", index=False)
    ended = warm.launch("shop", "--data", "views.csv", folder=shop, succeeds=False)
    assert ended.status == 2 and "no events of type purchase; add --show sessions" in ended.error


def test_lists_of_views_leave_out_what_was_bought():
    rows = [
        ("ann", "hat", "view", "train"),
        ("ann", "cap", "view", "train"),
        ("ann", "cap", "purchase", "test"),
        ("bob", "cap", "view", "train"),
        ("bob", "cap", "purchase", "train"),
        ("bob", "hat", "purchase", "test"),
    ]
    frame = pd.DataFrame(rows, columns=["user", "item", "type", "split"])
    assert pairs_of(frame)[["view", "cart", "purchase"]].to_numpy().tolist() == [
        [1, 0, 1], [1, 0, 0], [1, 0, 1], [0, 0, 1],
    ]  # fmt: skip
    # Of ann's two views the cap is first, since bob bought it; bob's only view is bought.
    assert from_views(frame) == {
        "hr@10": 0.5, "ndcg@10": 0.5, "hr@50": 0.5, "hr@10 viewed": 1.0, "hr@10 not viewed": 0.0,
    }  # fmt: skip
