"""Movies that training has not learnt from, known by the words of their titles: the mean and poolers.

python benchmarks/title_words.py --data ml-100k
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from command import Common, check_common, run_command
from record import Row, save
from tables import table_of

import torchrec_ext as tx
from torchrec_ext.data.features import Category


@dataclass(frozen=True)
class Settings(Common):
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


QUICK: dict[str, Any] = {"data": "generated", "epochs": 1, "seeds": (0,)}


def generated() -> tx.data.Events:
    """Ratings of users who like one genre, which is a word of a title."""
    users = np.arange(2000) % 100
    choices = np.random.default_rng(0).permuted(np.tile(np.arange(20), (100, 1)), axis=1).T.ravel()
    items = pd.DataFrame({"item": range(200), "title": [f"genre{i % 10} name{i // 10}" for i in range(200)]})
    frame = {"user": users, "item": 10 * choices + users % 10, "timestamp": np.arange(2000)}
    return tx.data.read_events(pd.DataFrame(frame), items=items)


def marked(data: str) -> tuple[tx.data.Events, list[int]]:
    """Events of a fifth of the items are the test part, one a user; the last other one is validation."""
    ratings = generated() if data == "generated" else tx.data.read_events(data)
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
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, QUICK)


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    check_common(settings, dim=1, epochs=1)


def run(settings: Settings) -> None:
    """Trains every pooler with every seed, prints a table and writes the files."""
    events, new = marked(settings.data)
    parts = tx.data.as_marked(events)
    print(parts[0].report)
    rows = [
        Row(f"{settings.data}, seed {seed}", pooler, f"NDCG@10, {movies}", value)
        for seed in settings.seeds
        for pooler in settings.poolers
        for movies, value in figures(parts, new, pooler, seed, settings).items()
    ]
    print(table_of(rows))
    save(settings, "title_words", rows)


if __name__ == "__main__":
    main()
