"""The whole loop on a planted population: serve, collect clicks, learn, swap the bundle, and serve again.

python recipes/loop.py
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import torchrec_ext as tx
from torchrec_ext.checks import expect_at_least
from torchrec_ext.command_line import run_recipe
from torchrec_ext.training import Optimization

if TYPE_CHECKING:
    import pandas as pd

_START = 1.7e9  # of the first round; a round is a day
_DAY = 86_400.0


@dataclass(frozen=True)
class Settings:
    """Compares a model that learns after each round with one that never learns again.

    The clicks come from planted tastes, which the models do not see. Tastes drift, and each round brings
    new items and new users. Both models serve the same users, know each click at once, and differ in one
    thing: the first goes on learning.
    """

    output: str = "runs/loop"
    """Folder of the runs, bundles, event logs, figures and the picture; it must not be there yet."""
    rounds: int = 10
    """Number of rounds."""
    users: int = 600
    """Users at the beginning; each round brings a fiftieth more."""
    items: int = 600
    """Items at the beginning; each round brings a twentieth more."""
    k: int = 10
    """Length of the lists."""
    epochs: int = 6
    """Epochs of the first training."""
    drift: float = 0.15
    """How far a taste turns in a round, as a share of a right angle."""
    seed: int = 0
    """Seed of the population, of its clicks and of first weights."""


@dataclass
class Population:
    """Users and items with vectors; the product of two says how likely a click is."""

    rng: np.random.Generator
    drift: float
    users: np.ndarray = field(default_factory=lambda: np.zeros((0, 6)))
    items: np.ndarray = field(default_factory=lambda: np.zeros((0, 6)))

    def grow(self, users: int, items: int) -> None:
        """Adds users and items at random places."""
        self.users = np.concatenate([self.users, self._unit(users)])
        self.items = np.concatenate([self.items, self._unit(items)])

    def move(self) -> None:
        """Turns every user's taste towards another direction."""
        self.users = _normalised(self.users + np.tan(self.drift * np.pi / 2) * self._unit(len(self.users)))

    def likes(self, user: int, items: np.ndarray) -> np.ndarray:
        """(n,) probability that a user clicks on each of n items."""
        return 1 / (1 + np.exp(4.5 - 7 * (self.items[items] @ self.users[user])))

    def organic(self, user: int, count: int) -> np.ndarray:
        """Items that a user finds without a list, by taste."""
        likes = self.likes(user, np.arange(len(self.items)))
        return self.rng.choice(len(self.items), count, replace=False, p=likes / likes.sum())

    def _unit(self, count: int) -> np.ndarray:
        return _normalised(self.rng.normal(size=(count, 6)))


def main(settings: Settings) -> None:
    """Trains once, then serves and learns round by round."""
    import pandas as pd
    import torch

    from torchrec_ext.serving.logged_events import as_events

    expect_at_least(1, rounds=settings.rounds, users=settings.users, k=settings.k)
    expect_at_least(20, items=settings.items)
    expect_at_least(0, seed=settings.seed, drift=settings.drift)
    began = time.perf_counter()
    with tx.training.open_run(settings.output) as folder:
        tx.distributed.join_group()
        torch.manual_seed(settings.seed)
        population = Population(np.random.default_rng(settings.seed), settings.drift)
        population.grow(settings.users, settings.items)
        events = first_events(population)
        trained = first_training(events, folder / "run", settings.epochs)
        tx.serving.export(trained, folder / "bundle-0", events=events)
        rates = []
        with (
            tx.serving.SqliteEventStore(folder / "learning.sqlite") as log,
            tx.serving.SqliteEventStore(folder / "frozen.sqlite") as frozen_log,
        ):
            learning = tx.serving.Service(folder / "bundle-0", log)
            frozen = tx.serving.Service(folder / "bundle-0", frozen_log)
            learnt = 0
            for number in range(1, settings.rounds + 1):
                population.move()
                population.grow(settings.users // 50, settings.items // 20)
                draws = population.rng.random((len(population.users), settings.k))
                found = [population.organic(user, 2) for user in range(len(population.users))]
                now = _START + number * _DAY
                rate = [serve(service, population, found, draws, now) for service in (learning, frozen)]
                rates.append({"round": number, "learning": rate[0], "frozen": rate[1]})
                print(f"round {number}: clicks {rate[0]:.3f} learning, {rate[1]:.3f} frozen", flush=True)
                new = as_events([event for _, event in log.after(learnt, 10**6)], events)
                learnt = log.position
                trained = tx.training.continue_training(
                    trained, new, events, epochs=2, output=folder / "run", progress=False,
                    record={"feedback": {"position": learnt}},
                )  # fmt: skip
                events = tx.data.join_events(events, new, repeats=True)
                bundle = tx.serving.export(trained, folder / f"bundle-{number}", events=events)
                learning.swap(bundle, name=f"bundle-{number}")
        table = pd.DataFrame(rates)
        table.to_csv(folder / "clicks.csv", index=False)
        draw(table, folder / "clicks.png")
        last = table.tail(3).mean()
        print(f"last three rounds: {last['learning']:.3f} learning, {last['frozen']:.3f} frozen")
        print(f"written to {folder} after {time.perf_counter() - began:.0f} s")


def first_events(population: Population) -> tx.data.Events:
    """What the users found by themselves before there was a model: 20 items each."""
    import pandas as pd

    rows = [
        (user, item, _START - _DAY * (20 - place))
        for user in range(len(population.users))
        for place, item in enumerate(population.organic(user, 20).tolist())
    ]
    return tx.data.read_events(pd.DataFrame(rows, columns=["user", "item", "timestamp"]))


def first_training(events: tx.data.Events, run: Path, epochs: int) -> tx.training.TrainedModel:
    """A retriever that reads histories."""
    train, valid, _ = tx.data.leave_last_out(events)
    model = tx.models.TwoTower(train.schema, dim=32, encoder="gru", max_length=30)
    optimization = Optimization(learning_rate=3e-3, table_learning_rate=0.1)
    return tx.training.fit(model, train, valid, epochs=epochs, output=run, optimization=optimization)


def serve(
    service: tx.serving.Service,
    population: Population,
    found: list[np.ndarray],
    draws: np.ndarray,
    now: float,
) -> float:
    """Shows each user a list, stores the clicks and what users found by themselves; the share of clicks."""
    from torchrec_ext.serving import ListRequest, ServedEvent

    clicks = shown = 0
    for user, draw in enumerate(draws):
        items = np.array(service.recommend(ListRequest(user, k=draws.shape[1])).items, np.int64)
        chosen = items[draw[: len(items)] < population.likes(user, items)]
        clicks, shown = clicks + len(chosen), shown + len(items)
        both = np.concatenate([chosen, found[user]]).tolist()
        service.add_events(
            [ServedEvent(user, item, now + 60.0 * place, "click") for place, item in enumerate(both)]
        )
    return clicks / max(shown, 1)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draws the click rates of both models over the rounds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, words in (("learning", "learns after each round"), ("frozen", "never learns again")):
        axes.plot(table["round"], table[name], marker="o", label=words)
    axes.set(xlabel="round", ylabel="share of the items shown that are clicked", ylim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def _normalised(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    run_recipe(main, Settings)
