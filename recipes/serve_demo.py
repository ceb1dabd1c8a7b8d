"""Serves a model of generated ratings, with the page at /: click a movie and see the list change.

python recipes/serve_demo.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import serve

import torchrec_ext as tx
from torchrec_ext.command_line import run_recipe
from torchrec_ext.training import Optimization


@dataclass(frozen=True)
class Settings:
    """Trains a retriever on the movies that generated users like, exports it, and serves it."""

    output: str = "runs/serve-demo"
    """Folder of the bundle and of the event log; a bundle that is there is served as it is."""
    users: int = 1000
    """Number of users."""
    movies: int = 1000
    """Number of movies."""
    likes: int = 60
    """Movies that a user likes, from the first on."""
    epochs: int = 12
    """Number of epochs."""
    port: int = 8000
    """Port to listen at; 0 takes a free one."""


def main(settings: Settings) -> None:
    """Makes the bundle if there is none, and serves it."""
    folder = Path(settings.output)
    if not (folder / "bundle" / "bundle.json").is_file():
        events = liked_movies(settings.users, settings.movies, settings.likes)
        print(events.summary(), flush=True)
        train, valid, _ = tx.data.leave_last_out(events)
        model = tx.models.TwoTower(train.schema, dim=32, encoder="gru", max_length=50)
        optimization = Optimization(learning_rate=3e-3, table_learning_rate=0.2)
        trained = tx.training.fit(model, train, valid, epochs=settings.epochs, optimization=optimization)
        tx.serving.export(trained, folder / "bundle", events=events, known=train, targets=valid)
    serve.run(serve.Settings(str(folder / "bundle"), str(folder / "events.sqlite"), port=settings.port))


def liked_movies(users: int, movies: int, likes: int) -> tx.data.Events:
    """The first movies that each user of a planted world rates 5, in the order of time."""
    from planted_ratings import planted_ratings

    events = tx.data.clean(planted_ratings(users, movies).events, where={"rating": (5, None)})
    order = events.by_user_and_time
    owners = events.codes("user")[order]
    place = np.arange(len(order)) - np.searchsorted(owners, owners)
    kept = np.zeros(len(order), bool)
    kept[order[place < likes]] = True
    return events.take(kept)


if __name__ == "__main__":
    run_recipe(main, Settings)
