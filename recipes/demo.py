"""The whole way on generated data: ratings, two models, figures beside the best possible ones, a top-10 list.

Run it with ``python recipes/demo.py``, or under torchrun.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from tyro.conf import OmitArgPrefixes

import torchrec_ext as tx
from torchrec_ext.command_line import run_recipe
from torchrec_ext.errors import InputError
from torchrec_ext.training import EarlyStopping, Optimization

if TYPE_CHECKING:
    import pandas as pd
    from planted_ratings import PlantedWorld


@dataclass(frozen=True)
class Settings:
    """Trains a dot product and a convolution on planted ratings whose best possible figures are known."""

    output: str = "runs/demo"
    """Folder of the run."""
    users: int = 1000
    """Number of users; each rates every movie."""
    movies: int = 1000
    """Number of movies."""
    dim: int = 50
    """Width of the vectors."""
    epochs: int = 8
    """Largest number of epochs for each model."""
    early_stopping: OmitArgPrefixes[EarlyStopping] = field(default_factory=lambda: EarlyStopping(patience=2))
    optimization: OmitArgPrefixes[Optimization] = field(
        default_factory=lambda: Optimization(2048, learning_rate=1e-3, table_learning_rate=0.2)
    )
    user: int = 1
    """User whose history and list are shown."""
    seed: int = 0
    """Seed of the data, the split, first weights and order."""
    resume: bool = False
    """Continue the run in --output."""
    overwrite: bool = True
    """Delete an earlier run in --output first; --no-overwrite refuses instead."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


POSITIVE = 4.0  # interested: a rating of 4 or 5


def main(settings: Settings) -> None:
    """Trains both models, then measures, draws and recommends."""
    import pandas as pd
    import torch
    from planted_ratings import planted_ratings

    if not 1 <= settings.user <= settings.users:
        raise InputError(f"user should be from 1 to {settings.users}, received {settings.user}")
    began = time.perf_counter()
    group = tx.distributed.join_group(settings.device)
    log = print if group.first else lambda *words: None
    world = planted_ratings(settings.users, settings.movies, settings.seed)
    train, valid, test = tx.data.by_ratio(world.events, valid=0.05, test=0.1, seed=settings.seed)
    log(world.events.summary())
    log(f"{len(train):,} ratings to train, {len(valid):,} to validate, {len(test):,} to test")

    torch.manual_seed(settings.seed)
    # p = sigmoid(u . v), and nothing after it
    dot = tx.models.Ranker(
        train.schema, settings.dim, ("user", "item"), tx.interactions.DotInteraction(2, settings.dim),
        over_arch=None, first_order=False,
    )  # fmt: skip
    # filters over the pair of vectors, whose components are the channels; ReLU; one linear layer
    filters = tx.interactions.ConvolutionInteraction(2, settings.dim, filters=100, kernel_size=2)
    convolution = tx.models.Ranker(
        train.schema, settings.dim, ("user", "item"), filters, over_arch=(), first_order=False
    )
    models = {"dot": dot, "convolution": convolution}

    with tx.training.open_run(
        settings.output, resume=settings.resume, overwrite=settings.overwrite and not settings.resume
    ) as run:
        record = {
            **dataclasses.asdict(settings),
            "data": tx.training.data_record(world.events),
            "recipe": "demo",
        }
        tx.training.write_json(run / "settings.json", {**record, "world_size": group.world_size})

        seen, hidden = rated(world, train), rated(world, test)
        liked = seen["rating"].to_numpy() >= POSITIVE
        popularity = tx.evaluation.item_mean_label(seen["item"], liked, hidden["item"], settings.movies + 1)
        figures = {"popularity": report(popularity, hidden)}
        trained: dict[str, tx.training.TrainedModel] = {}
        for name, model in models.items():
            log(f"\n{name}")
            trained[name] = tx.training.fit(
                model, train, valid, epochs=settings.epochs, positive=POSITIVE,
                optimization=settings.optimization, early_stopping=settings.early_stopping,
                output=run / name, resume=settings.resume, seed=settings.seed, device=settings.device,
            )  # fmt: skip
            figures[name] = tx.evaluation.evaluate(trained[name], train, test, progress=True).figures
        figures["oracle"] = report(world.oracle(hidden["user"], hidden["item"]), hidden)
        tx.training.write_json(run / "metrics.json", figures)

        is_hidden = np.zeros(len(world.events), bool)
        is_hidden[test.events.source_rows] = True
        known = world.events.take(~is_hidden)
        users, k = np.arange(1, settings.users + 1), min(10, settings.movies)
        top = described(tx.retrieval.recommend(trained["convolution"], known, users, k, progress=True), world)
        if group.first:
            history = pd.concat([model.history.assign(model=name) for name, model in trained.items()])
            history.to_csv(run / "history.csv", index=False)
            pairs = history.drop(columns="valid_rmse")  # the others are known of training too
            tx.training.draw_curves(
                pairs, run / "curves.png", "Dot product and convolution on planted ratings"
            )
            top.to_csv(run / "recommendations.csv", index=False)
            print("", figures_table(figures), history_table(known, settings.user), sep="\n\n")
            print("", top_table(top, settings.user), sep="\n")
            print(f"\n{time.perf_counter() - began:.0f} s; everything is in {run}")


def rated(world: PlantedWorld, part: tx.data.Dataset) -> pd.DataFrame:
    """The ratings of a part, with the ids of users and movies."""
    return world.events.frame.iloc[part.events.source_rows]


def report(probabilities: np.ndarray, ratings: pd.DataFrame) -> dict[str, float]:
    """Log-loss, AUC, accuracy and RMSE of probabilities against the label of each rating, 0 or 1."""
    import torch

    labels = ratings["rating"].to_numpy() >= POSITIVE
    figures = tx.metrics.BinaryReport(sync_on_compute=False)
    figures.update(torch.from_numpy(probabilities), torch.from_numpy(labels))
    return figures.compute()


def described(top: pd.DataFrame, world: PlantedWorld) -> pd.DataFrame:
    """The lists with titles, the true probabilities and the ratings that were held out."""
    top = top.merge(titled(world.events), on="item", how="left")
    top = top.merge(world.events.frame[["user", "item", "rating"]], on=["user", "item"], how="left")
    return top.assign(truth=world.oracle(top["user"], top["item"]))


def titled(events: tx.data.Events) -> pd.DataFrame:
    """Movies with their genres in one word."""
    assert events.items is not None
    return events.items.assign(genres=events.items["genres"].map("/".join))


def figures_table(figures: dict[str, dict[str, float]]) -> str:
    """The figures of every model on the test part."""
    import pandas as pd

    table = pd.DataFrame(figures).T[["log_loss", "auc", "accuracy", "rmse"]]
    table["of the oracle's AUC"] = (table["auc"] / table.loc["oracle", "auc"]).map("{:.1%}".format)
    return "On the test part\n" + table.to_string(float_format="{:.4f}".format)


def history_table(known: tx.data.Events, user: int) -> str:
    """What a user rated last, newest first."""
    import pandas as pd

    rated = known.frame[known.frame["user"] == user].sort_values("timestamp", ascending=False)
    latest = rated.head(10).merge(titled(known), on="item")
    latest["date"] = pd.to_datetime(latest["timestamp"], unit="s").dt.strftime("%Y-%m-%d")
    latest = latest.astype({"rating": int})[["date", "title", "year", "genres", "rating"]]
    return f"What user {user} rated last, of {len(rated):,} ratings known\n{aligned(latest)}"


def top_table(top: pd.DataFrame, user: int) -> str:
    """A user's list beside the truth."""
    mine = top[top["user"] == user].astype({"rating": int})
    head = f"What the convolution recommends to user {user}, of the movies whose rating it has not seen"
    foot = "score: predicted probability of a 4 or 5; truth: the true one; rating: the held-out rating"
    return f"{head}\n{aligned(mine[['rank', 'title', 'year', 'genres', 'score', 'truth', 'rating']])}\n{foot}"


def aligned(table: pd.DataFrame) -> str:
    """A table as text, words to the left and numbers to the right."""
    texts = table.select_dtypes(exclude="number")
    widths = {name: max(map(len, texts[name]), default=0) for name in texts}
    padded = {name: texts[name].str.ljust(width) for name, width in widths.items()}
    headed = {name: name.ljust(width) for name, width in widths.items()}
    return table.assign(**padded).rename(columns=headed).to_string(index=False, float_format="{:.3f}".format)


if __name__ == "__main__":
    run_recipe(main, Settings)
