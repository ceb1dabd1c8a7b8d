"""report() and compare(): what runs are worth, how sure that is, and where they differ."""

import importlib.util
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.errors import InputError
from torchrec_ext.evaluation.user_values import LISTED
from torchrec_ext.reporting.beyond_accuracy import beyond_accuracy
from torchrec_ext.reporting.bootstrap import bootstrap, interval
from torchrec_ext.reporting.card import costs, protocol_in_words
from torchrec_ext.reporting.comparison import Comparison
from torchrec_ext.reporting.evaluated_run import EvaluatedRun, Part
from torchrec_ext.reporting.paired_tests import bootstrap_p, holm, wilcoxon_p
from torchrec_ext.reporting.pictures import pictures
from torchrec_ext.reporting.segments import default_segments, segment_of_users
from torchrec_ext.reporting.side_by_side import about_user, choose_users, side_by_side
from torchrec_ext.reporting.user_figures import UserFigures

Run: TypeAlias = str | Path | EvaluatedRun


def report(run: Run, **how: Any) -> Comparison:
    """Describes one run; the arguments are those of :func:`compare`.

    Raises:
        InputError: see :func:`compare`.
    """
    return compare([run], **how)


def compare(
    runs: Sequence[Run],
    baseline: Run | None = None,
    *,
    part: Part = "test",
    metrics: Sequence[str] | None = None,
    k: int = 10,
    segments: Sequence[str] = (),
    categories: str | None = None,
    users: Sequence[Any] | int = 3,
    resamples: int = 1000,
    seed: int = 0,
    draw: bool = True,
) -> Comparison:
    """Compares runs from what their evaluations have kept; nothing is evaluated again.

    Intervals hold 95% and come from a bootstrap over users. The differences from the baseline are tested by
    a paired bootstrap and by Wilcoxon's signed-rank test (with scipy), both corrected by Holm's method over
    all runs and metrics.

    Args:
        runs: folders of runs, or opened ones. Two of the same name are numbered.
        baseline: the one that the others are compared with, which may stand among ``runs``; None takes the
            first.
        part: which evaluation.
        metrics: those that are shown; None takes NDCG and HR at ``k`` and MRR, of rankers AUC, log-loss,
            accuracy and RMSE.
        k: places of a list that the figures beyond accuracy and the lists side by side have, at most 20.
        segments: further columns of ``per_user.parquet``, such as ``user_gender``.
        categories: column of the items for diversity and calibration, such as ``item_genres``; None takes
            the first that holds lists of words.
        users: ids of users whose lists are shown side by side, or how many of those on whom the runs differ
            most.
        resamples: of the bootstrap.
        seed: of the resamples.
        draw: makes the pictures, which only the HTML page shows.

    Raises:
        InputError: for a run without kept values, retrievers beside rankers, runs that predict different
            targets, or a metric, column or user that is not there.
    """
    if not 1 <= k <= LISTED:
        raise InputError(f"k should be from 1 to {LISTED}, as many items of a list as are kept; received {k}")
    opened = _open(runs, baseline, part)
    first = opened[0]
    if first.is_ranker:
        chosen = tuple(metrics or ("auc", "log_loss", "accuracy", "rmse"))
    else:
        chosen = tuple(metrics or (f"ndcg@{k}", f"hr@{k}", "mrr"))
    opened, notes = _same_users(opened)
    names = [run.name for run in opened]
    figures = [UserFigures.of(run, chosen) for run in opened]
    points = np.stack([own.weighted(np.ones((1, own.sums_FU.shape[1])))[0] for own in figures])
    samples = bootstrap(figures, resamples, seed)[:, 0]
    lists = not first.is_ranker
    shown = [] if not lists else choose_users(opened, users) if isinstance(users, int) else list(users)
    popular = first.figures.get("popularity") or {}
    return Comparison(
        runs=tuple(names),
        figures=_figures(names, chosen, points, samples, popular),
        tests=_tests(names, chosen, points, samples, [run.by_user() for run in figures]),
        segments=_segments(opened, chosen, (*default_segments(first), *segments), resamples, seed),
        beyond=pd.DataFrame(
            [{"run": run.name, **beyond_accuracy(run, k, categories)} for run in opened if lists]
        ),
        costs=pd.DataFrame([{"run": run.name, **costs(run)} for run in opened]),
        protocol={run.name: protocol_in_words(run) for run in opened},
        notes=(*notes, *_notes(first, len(opened), resamples, seed)),
        lists=side_by_side(opened if lists else [], shown, k),
        about_users=tuple(about_user(opened[0], user) for user in shown),
        pictures=pictures(opened, k) if draw else {},
    )


def _open(runs: Sequence[Run], baseline: Run | None, part: Part) -> list[EvaluatedRun]:
    """The runs with the baseline first, each with a name of its own."""
    if not runs:
        raise InputError("runs is empty; name at least one folder of a run")
    if baseline is not None:
        runs = [baseline, *(run for run in runs if _place(run) != _place(baseline))]
    opened = [run if isinstance(run, EvaluatedRun) else EvaluatedRun.open(run, part) for run in runs]
    names: list[str] = []
    for place, run in enumerate(opened):
        number, name = 1, run.name
        while name in names:
            number, name = number + 1, f"{run.name} ({number + 1})"
        names.append(name)
        opened[place] = EvaluatedRun(name, run.figures, run.training, run.values, run.history)
    for run in opened[1:]:
        if run.is_ranker != opened[0].is_ranker:
            raise InputError(
                f"{run.name} and {opened[0].name} are a retriever and a ranker, whose figures have nothing "
                "in common; compare runs of one kind"
            )
    return opened


def _place(run: Run) -> Any:
    return run if isinstance(run, EvaluatedRun) else Path(run).resolve()


def _same_users(runs: Sequence[EvaluatedRun]) -> tuple[list[EvaluatedRun], tuple[str, ...]]:
    """The runs with the users of all of them, in one order, and a note if some are left out."""
    ids = [pd.Index(run.values.users["user"].to_pandas()) for run in runs]
    common = ids[0]
    for other in ids[1:]:
        common = common[common.isin(other)]
    if not len(common):
        raise InputError(f"{runs[0].name} and the others have no user in common; compare runs of one split")
    aligned = [run.of_users(common) for run in runs]
    wanted = [run.values.users["targets"].to_pylist() for run in aligned]
    for run, targets in zip(aligned[1:], wanted[1:], strict=True):
        different = sum(not _agree(*pair) for pair in zip(wanted[0], targets, strict=True))
        if different:
            raise InputError(
                f"{run.name} predicts other targets than {runs[0].name} for {different:,} of "
                f"{len(common):,} users; compare runs of one split and part"
            )
    notes = []
    if any(len(own) > len(common) for own in ids):
        counts = ", ".join(f"{run.name} {len(own):,}" for run, own in zip(runs, ids, strict=True))
        notes.append(f"The {len(common):,} users of all runs are compared; evaluated were {counts}.")
    return aligned, tuple(notes)


def _agree(first: list[Any], second: list[Any]) -> bool:
    """Whether two lists of targets may be the same; an item that one model does not know has no id."""
    known = [{str(item) for item in items if item is not None} for items in (first, second)]
    if None in first or None in second:
        return len(first) == len(second)
    return len(first) == len(second) and known[0] == known[1]


def _notes(first: EvaluatedRun, runs: int, resamples: int, seed: int) -> list[str]:
    """What a reader must know of the method."""
    less = ("log_loss", "rmse") if first.is_ranker else ("gini", "popularity lift", "miscalibration")
    units = "users" if first.values.users.num_rows > 1 else "pairs, for the data has no users"
    notes = [
        f"95% intervals: percentiles of a bootstrap over {units} ({resamples:,} resamples, seed {seed}).",
        f"Less is better of {', '.join(less)}.",
    ]
    if runs > 1:
        notes.append(
            "The bootstrap tests the mean over users, Wilcoxon's test whether the users' differences are "
            "symmetric around 0; Holm's method corrects both for all rows of the table."
        )
    if runs > 1 and importlib.util.find_spec("scipy") is None:
        notes.append(
            "Wilcoxon's test is left out: scipy is not installed (pip install torchrec-ext[report])."
        )
    return notes


def _figures(
    names: Sequence[str],
    metrics: Sequence[str],
    points: np.ndarray,
    samples: np.ndarray,
    popular: Mapping[str, float],
) -> pd.DataFrame:
    rows: list[tuple[str, str, float, float, float]] = []
    for (place, run), (column, metric) in product(enumerate(names), enumerate(metrics)):
        low, high = interval(samples[place, :, column])
        rows.append((run, metric, points[place, column], low, high))
    rows += [("popularity", name, popular[name], np.nan, np.nan) for name in metrics if name in popular]
    return pd.DataFrame(rows, columns=["run", "metric", "value", "low", "high"])


def _tests(
    names: Sequence[str],
    metrics: Sequence[str],
    points: np.ndarray,
    samples: np.ndarray,
    by_user: Sequence[np.ndarray],
) -> pd.DataFrame:
    rows = []
    for (place, run), (column, metric) in product(enumerate(names), enumerate(metrics)):
        if not place:
            continue
        differences = samples[place, :, column] - samples[0, :, column]
        low, high = interval(differences)
        p = float(bootstrap_p(differences))
        w = wilcoxon_p(by_user[place][column], by_user[0][column])
        rows.append((run, metric, points[place, column] - points[0, column], low, high, p, w))
    columns = ["run", "metric", "difference", "low", "high", "bootstrap p", "wilcoxon p"]
    found = pd.DataFrame(rows, columns=columns)
    for test in ("bootstrap", "wilcoxon"):
        found[f"{test} p (Holm)"] = holm(found[f"{test} p"].to_numpy(np.float64))
    return found


def _segments(
    runs: Sequence[EvaluatedRun], metrics: Sequence[str], names: Sequence[str], resamples: int, seed: int
) -> pd.DataFrame:
    """The first metric that users have alone, in every segment."""
    metric = next((name for name in metrics if name not in ("auc", "rmse")), metrics[0])
    figures = [UserFigures.of(run, [metric]) for run in runs]
    divided = {by: segment_of_users(runs[0], by) for by in names}
    several = {by: found for by, found in divided.items() if len(found.categories) > 1}
    pairs = [(by, segment) for by, found in several.items() for segment in found.categories]
    if not pairs:
        return pd.DataFrame()
    masks = [np.asarray(divided[by] == segment) for by, segment in pairs]
    samples = bootstrap(figures, resamples, seed, masks)[..., 0]
    rows = []
    for place, ((by, segment), mask) in enumerate(zip(pairs, masks, strict=True)):
        for number, run in enumerate(runs):
            value = figures[number].weighted(mask[None].astype(np.float64))[0, 0]
            low, high = interval(samples[number, place])
            rows.append((by, segment, int(mask.sum()), run.name, metric, value, low, high))
    columns = ["by", "segment", "users", "run", "metric", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
