"""Movies that training has not learnt from, known by the words of their titles: the mean and poolers.

python benchmarks/title_words.py --data ml-100k
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import tyro

import torchrec_ext as tx
from torchrec_ext.data.features import Category


@dataclass(frozen=True)
class Settings:
    """Trains a TwoTower with each pooler of the titles, and evaluates it on known and on new movies."""

    data: str = "ml-100k"
    """Ratings with titles of the items."""
    poolers: tuple[str, ...] = ("mean", "attention_pool", "text_cnn")
    """Poolers, or mean for none, or ids for a model that reads no titles."""
    dim: int = 32
    """Width of the vectors."""
    epochs: int = 8
    """Epochs of training."""
    seeds: tuple[int, ...] = (0, 1)
    """Seeds of the first weights and of the order; the new movies are the same."""


def marked(data: str) -> tuple[tx.data.Events, list[int]]:
    """Events of a fifth of the items are the test part, one a user; the last other one is validation."""
    ratings = tx.data.read_events(data)
    assert ratings.items is not None
    movies = ratings.items.assign(words=ratings.items["title"].str.lower().str.findall(r"\w+"))
    table = ratings.frame.sort_values(["user", "timestamp"], kind="stable")
    items = table["item"].unique()
    new = np.random.default_rng(0).choice(np.sort(items), len(items) // 5, replace=False)
    is_new = table["item"].isin(new)
    is_last = table.groupby(["user", is_new]).cumcount(ascending=False) == 0
    table = table.assign(split=np.where(is_new, "test", np.where(is_last, "valid", "train")))
    columns = ["user", "item", "timestamp", "split"]
    events = tx.data.read_events(
        table.loc[is_last | ~is_new, columns], columns={"split": "split"}, items=movies[["item", "words"]],
        item_features={"words": Category(min_count=2)}, catalogue="all",
    )  # fmt: skip
    return events, new.tolist()


def figures(parts: tuple[tx.data.Dataset, ...], new: list[int], pooler: str, seed: int, s: Settings) -> dict:
    """NDCG@10 of known movies, of new ones among all, and of new ones among themselves."""
    train, valid, test = parts
    torch.manual_seed(seed)
    chosen: Any = None if pooler in ("mean", "ids") else {"item_words": pooler}
    fields = () if pooler == "ids" else ("item_words",)
    model = tx.models.TwoTower(train.schema, s.dim, "mean_pool", item_fields=fields, poolers=chosen)
    trained = tx.training.fit(model, train, epochs=s.epochs, seed=seed, progress=False)
    found = {"known": tx.evaluation.evaluate(trained, train, valid, k=10)}
    found["new"] = tx.evaluation.evaluate(trained, train, test, k=10)
    found["new among new"] = tx.evaluation.evaluate(trained, train, test, k=10, candidates=new)
    return {name: report["ndcg@10"] for name, report in found.items()}


def main() -> None:
    """Prints a row for each pooler and seed, and the means over the seeds."""
    settings = tyro.cli(Settings)
    events, new = marked(settings.data)
    parts = tx.data.as_marked(events)
    print(parts[0].report)
    rows = []
    for seed in settings.seeds:
        for pooler in settings.poolers:
            rows.append({"pooler": pooler, "seed": seed} | figures(parts, new, pooler, seed, settings))
            print(rows[-1], flush=True)
    print(pd.DataFrame(rows).drop(columns="seed").groupby("pooler", sort=False).mean().round(4))


if __name__ == "__main__":
    main()
