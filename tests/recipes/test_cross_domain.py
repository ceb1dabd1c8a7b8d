"""The recipe of two domains, on generated purchases of 80 users in both."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

SMALL = ("--epochs", "2", "--dim", "8", "--sampled", "20", "--global-batch-size", "16", "--data", "two.toml")
TABLE = """
[[events]]
file = "events.csv"
columns = { domain = { kind = "category" }, split = { kind = "category" } }
"""
NAMES = ["popularity", "item-kNN alone", "item-kNN both", "alone", "both", "tuned"]
USERS, TWIN = 80, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users of three tastes buy 7 of 60 items in each domain; item 0 of both has the same 5 buyers."""
    folder = tmp_path_factory.mktemp("domains")
    rng, rows = np.random.default_rng(0), []
    for domain in ("electronics", "phones"):
        for user in range(USERS):
            liked = np.arange(1 + user % 3, 60, 3)
            bought = [*rng.choice(liked, 7, replace=False)] + [0] * (user < TWIN)
            rows += [
                (user, f"{domain}-{item}", domain, "train" if place else "test")
                for place, item in enumerate(bought)
            ]
    pd.DataFrame(rows, columns=["user", "item", "domain", "split"]).to_csv(folder / "events.csv", index=False)
    (folder / "two.toml").write_text(TABLE)
    return folder


def figures_of(folder: Path, output: str = "runs/cross_domain") -> dict[str, dict[str, Any]]:
    return json.loads((folder / output / "metrics.json").read_text())


def test_it_compares_three_regimes_with_both_baselines(warm, folder):
    out = warm.launch("cross_domain", *SMALL, folder=folder).out[0]
    figures = figures_of(folder)
    assert list(figures) == NAMES
    for of_model in figures.values():  # the users and items of phones, in every regime
        assert (of_model["users"], of_model["items"]) == (USERS, figures["alone"]["items"])
        assert 0 < of_model["recall@50"] <= 1
    assert figures["both"]["items"] <= 60
    assert "1 items of phones, and 0 test events, have a twin, an item" in out and "which is left out" in out

    lists = {n: pd.read_parquet(folder / f"runs/cross_domain/{n}/per_user.parquet") for n in NAMES[3:]}
    for found in lists.values():
        assert all(item.startswith("phones-") for items in found["list"] for item in items)
    assert set(pd.read_parquet(folder / "runs/cross_domain/both/per_item.parquet")["item_domain"]) == {
        "phones"
    }
    _, higher, same, lower = out.splitlines()[-1].split()
    ranks = pd.DataFrame({n: found.set_index("user")["ranks"].str[0] for n, found in lists.items()})
    ranks = ranks.replace(0, np.inf)
    assert float(higher) == pytest.approx((ranks["tuned"] < ranks["alone"]).mean(), abs=1e-4)
    assert float(lower) == pytest.approx((ranks["tuned"] > ranks["alone"]).mean(), abs=1e-4)
    assert float(higher) + float(same) + float(lower) == pytest.approx(1, abs=1e-3)


def test_an_unknown_domain_is_refused(warm, folder):
    words = ("--data", "two.toml", "--target", "books", "--output", "runs/books")
    refused = warm.launch("cross_domain", *words, folder=folder, succeeds=False)
    assert refused.status == 2
    assert "target 'books' should be one of two domains; there are ['electronics', 'phones']" in refused.error


@pytest.mark.slow
def test_two_processes_come_to_the_same(warm, folder):
    warm.launch("cross_domain", *SMALL, "--output", "runs/one", folder=folder)
    ended = warm.launch("cross_domain", *SMALL, "--output", "runs/two", folder=folder, processes=2)
    assert ended.out[1] == ""
    one, two = (figures_of(folder, f"runs/{name}") for name in ("one", "two"))
    for name in NAMES:  # each rank draws a sample of its own, so the models differ a little
        exact = name not in NAMES[3:]
        assert one[name]["recall@50"] == pytest.approx(two[name]["recall@50"], abs=1e-9 if exact else 0.1)


@pytest.mark.slow
def test_twins_may_stay_and_users_may_have_a_vector(warm, folder):
    words = (*SMALL, "--keep-twins", "--user-table", "--target", "electronics", "--output", "runs/kept")
    out = warm.launch("cross_domain", *words, folder=folder).out[0]
    assert "have a twin" in out
    assert figures_of(folder, "runs/kept")["tuned"]["items"] <= 60
