"""side_by_side(): the lists of runs for chosen users, with their hits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.reporting.evaluated_run import EvaluatedRun


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
        names = run.titles()
        for own in map(run.user, users):
            for place, item in enumerate(own["list"][:k], start=1):
                title = names.get(item, str(item))
                rows.append((own["user"], place, run.name, item, title, item in own["targets"]))
    return pd.DataFrame(rows, columns=["user", "place", "run", "item", "title", "hit"])


def about_user(run: EvaluatedRun, user: Any, events: int = 5) -> dict[str, Any]:
    """What stands above a user's lists: the newest known items and the targets, by title."""
    own, names = run.user(user), run.titles()
    history, targets = (
        [names.get(item, str(item)) for item in items if item is not None]
        for items in (own["history"][-events:], own["targets"])
    )
    return {"user": own["user"], "known": own["known"], "history": history, "targets": targets}
