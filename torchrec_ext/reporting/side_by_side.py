"""side_by_side(): the lists of runs for chosen users, with their hits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.errors import InputError
from torchrec_ext.reporting.evaluated_run import EvaluatedRun

TITLE = "item_title"


def choose_users(runs: Sequence[EvaluatedRun], many: int) -> list[Any]:
    """Users of whom the reader learns most: those whose best rank differs most between the runs."""
    best = []
    for run in runs:
        ranks, offsets = run.lists("ranks")
        reciprocal = np.divide(1.0, ranks, out=np.zeros(len(ranks)), where=ranks > 0)
        best.append(np.maximum.reduceat(np.append(reciprocal, 0.0), offsets[:-1]))
    spread = np.ptp(np.stack(best), axis=0) if len(runs) > 1 else best[0]
    chosen = np.argsort(-spread, kind="stable")[:many]
    return [runs[0].values.users["user"][int(place)].as_py() for place in chosen]


def side_by_side(runs: Sequence[EvaluatedRun], users: Sequence[Any], k: int = 10) -> pd.DataFrame:
    """The first k items of each run's list for chosen users.

    Args:
        runs: retrievers on the same users.
        users: their ids.
        k: places.

    Returns:
        Columns ``user``, ``place`` from 1 and ``run``, then ``item``, ``title`` (that of the data, or the id)
        and ``hit``, whether it is a target.

    Raises:
        InputError: for a user who was not evaluated.
    """
    rows = []
    for run in runs:
        ids = pd.Index(run.values.users["user"].to_pandas().astype(str))
        names = titles(run)
        for user in users:
            place = ids.get_indexer([str(user)])[0]
            if place < 0:
                raise InputError(f"user {user!r} was not evaluated; name one of {', '.join(ids[:5])}, ...")
            own = run.values.users.slice(place, 1).to_pylist()[0]
            for number, item in enumerate(own["list"][:k], start=1):
                title = names.get(item, str(item))
                rows.append((own["user"], number, run.name, item, title, item in own["targets"]))
    return pd.DataFrame(rows, columns=["user", "place", "run", "item", "title", "hit"])


def titles(run: EvaluatedRun) -> dict[Any, str]:
    """Item -> its title, or its id where the data has none."""
    items = run.values.items
    ids = items["item"].to_pylist()
    names = items[TITLE].to_pylist() if TITLE in items.column_names else ids
    return {item: str(item if name is None else name) for item, name in zip(ids, names, strict=True)}


def about_user(run: EvaluatedRun, user: Any, events: int = 5) -> dict[str, Any]:
    """What stands above a user's lists: the newest known items and the targets, by title."""
    ids = pd.Index(run.values.users["user"].to_pandas().astype(str))
    own = run.values.users.slice(ids.get_indexer([str(user)])[0], 1).to_pylist()[0]
    names = titles(run)
    return {
        "user": own["user"],
        "known": own["known"],
        "history": [names.get(item, str(item)) for item in own["history"][-events:] if item is not None],
        "targets": [names.get(item, str(item)) for item in own["targets"] if item is not None],
    }
