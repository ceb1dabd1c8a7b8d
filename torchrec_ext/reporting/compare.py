"""report() and compare(): what runs are worth, how sure that is, and where they differ."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.checks import expect_whole
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation.user_values import LISTED
from torchrec_ext.reporting.beyond_accuracy import beyond_accuracy
from torchrec_ext.reporting.bootstrap import bootstrap, interval
from torchrec_ext.reporting.card import costs, protocol_in_words
from torchrec_ext.reporting.comparison import Comparison
from torchrec_ext.reporting.evaluated_run import EvaluatedRun, Part
from torchrec_ext.reporting.paired_tests import bootstrap_p, holm, wilcoxon_p
from torchrec_ext.reporting.pictures import pictures
from torchrec_ext.reporting.reasons import Reasons
from torchrec_ext.reporting.segments import ANSWERED, HISTORY, POPULARITY, segment_of_users
from torchrec_ext.reporting.side_by_side import about_user, choose_users, side_by_side
from torchrec_ext.reporting.user_figures import UserFigures

Run: TypeAlias = str | Path | EvaluatedRun


def report(run: Run, **how: Any) -> Comparison:
    """Describes one run; the arguments and errors are those of :func:`compare`."""
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
    reasons: Reasons | None = None,
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
        reasons: explains the listed items, which needs the models; None does not. A note says of which run
            it cannot, and why.
        resamples: of the bootstrap.
        seed: of the resamples.
        draw: makes the pictures, which only the HTML page shows.

    Raises:
        InputError: for a run without kept values, retrievers beside rankers, runs that predict different
            targets, or a metric, column or user that is not there.
    """
    if not 1 <= k <= LISTED:
        raise InputError(f"k should be from 1 to {LISTED}, as many items of a list as are kept; received {k}")
    expect_whole(0, seed=seed)
    if not 1 <= resamples <= 1_000_000:
        raise InputError(f"resamples should be from 1 to 1,000,000, received {resamples:,}")
    opened, notes = _same_users(_open(runs, baseline, part))
    first = opened[0]
    of_lists = (f"ndcg@{k}", f"hr@{k}", "mrr")
    metrics = metrics or (("auc", "log_loss", "accuracy", "rmse") if first.is_ranker else of_lists)
    notes += _notes(first, len(opened), resamples, seed)
    of_whom = [] if first.is_ranker else users
    shown = choose_users(opened, of_whom) if isinstance(of_whom, int) else list(of_whom)
    lists = side_by_side(opened, shown, k)
    if reasons is not None and len(lists):
        lists["reason"] = None
        notes.append(reasons.note)
        for run in opened:
            own = lists[lists["run"] == run.name]
            try:
                lists.loc[own.index, "reason"] = np.array(reasons.of(run, own), object)
            except InputError as error:
                notes.append(f"No reasons for {run.name}: {error}.")
    made = [{"run": run.name, **beyond_accuracy(run, k, categories)} for run in opened if not first.is_ranker]
    return Comparison(
        runs=tuple(run.name for run in opened),
        **_figures_and_tests(opened, metrics, resamples, seed),
        segments=_segments(opened, metrics, segments, resamples, seed),
        beyond=pd.DataFrame(made),
        costs=pd.DataFrame([{"run": run.name, **costs(run)} for run in opened]),
        protocol={run.name: protocol_in_words(run) for run in opened},
        notes=tuple(notes),
        lists=lists,
        about_users=tuple(about_user(first, user) for user in shown),
        pictures=pictures(opened, k) if draw else {},
    )


def _open(runs: Sequence[Run], baseline: Run | None, part: Part) -> list[EvaluatedRun]:
    """The runs with the baseline first, each with a name of its own."""
    if not runs:
        raise InputError("runs is empty; name at least one folder of a run")
    if baseline is not None:
        runs = [baseline, *(run for run in runs if _place(run) != _place(baseline))]
    opened: dict[str, EvaluatedRun] = {}
    for given in runs:
        run = given if isinstance(given, EvaluatedRun) else EvaluatedRun.open(given, part)
        number, name = 1, run.name
        while name in opened:
            number, name = number + 1, f"{run.name} ({number + 1})"
        opened[name] = replace(run, name=name)
    first, *others = opened.values()
    for run in others:
        if run.is_ranker != first.is_ranker:
            raise InputError(
                f"{run.name} and {first.name} are a retriever and a ranker, whose figures have nothing "
                "in common; compare runs of one kind"
            )
    return [first, *others]


def _place(run: Run) -> Any:
    return run if isinstance(run, EvaluatedRun) else Path(run).resolve()


def _same_users(runs: Sequence[EvaluatedRun]) -> tuple[list[EvaluatedRun], list[str]]:
    """The runs with the users of all of them, in one order, and a note if some are left out."""
    ids = [pd.Index(run.values.users["user"].to_pandas()) for run in runs]
    common = ids[0]
    for other in ids[1:]:
        common = common[common.isin(other)]
    if not len(common):
        raise InputError(f"{runs[0].name} and the others have no user in common; compare runs of one split")
    aligned = [run.of_users(common) for run in runs]
    wanted, *others = (run.values.users["targets"].to_pylist() for run in aligned)
    for run, targets in zip(aligned[1:], others, strict=True):
        if different := sum(not _agree(*pair) for pair in zip(wanted, targets, strict=True)):
            raise InputError(
                f"{run.name} predicts other targets than {runs[0].name} for {different:,} of "
                f"{len(common):,} users; compare runs of one split and part"
            )
    if all(len(own) == len(common) for own in ids):
        return aligned, []
    counts = ", ".join(f"{run.name} {len(own):,}" for run, own in zip(runs, ids, strict=True))
    return aligned, [f"The {len(common):,} users of all runs are compared; evaluated were {counts}."]


def _agree(first: list[Any], second: list[Any]) -> bool:
    """Whether two lists of targets may be the same; an item that one model does not know has no id."""
    unknown = None in first or None in second
    return len(first) == len(second) and (unknown or {*map(str, first)} == {*map(str, second)})


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


def _figures_and_tests(
    runs: Sequence[EvaluatedRun], metrics: Sequence[str], resamples: int, seed: int
) -> dict[str, pd.DataFrame]:
    """The metrics of all runs and of popularity, and the differences of the others from the first."""
    names, figures = [run.name for run in runs], [UserFigures.of(run, metrics) for run in runs]
    values = np.stack([run.weighted(np.ones((1, run.sums_FU.shape[1])))[0] for run in figures])
    samples = bootstrap(figures, resamples, seed)[:, :, 0]
    shown = _table(names, metrics, value=values, **_bounds(samples))
    popular = runs[0].figures.get("popularity") or {}
    rows = [
        {"run": "popularity", "metric": name, "value": popular[name]} for name in metrics if name in popular
    ]
    differences, by_user = samples - samples[:, :1], [run.by_user() for run in figures]
    wilcoxon = [wilcoxon_p(*pair) for run in by_user for pair in zip(run, by_user[0], strict=True)]
    tests = _table(
        names, metrics, difference=values - values[0], **_bounds(differences),
        **{"bootstrap p": bootstrap_p(differences), "wilcoxon p": np.array(wilcoxon)},
    )  # fmt: skip
    tests = tests[tests["run"] != names[0]].reset_index(drop=True)
    for test in ("bootstrap p", "wilcoxon p"):
        tests[f"{test} (Holm)"] = holm(tests[test].to_numpy())
    return {"figures": pd.concat([shown, pd.DataFrame(rows)], ignore_index=True), "tests": tests}


def _bounds(samples: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(("low", "high"), interval(samples), strict=True))


def _table(runs: Sequence[str], metrics: Sequence[str], **columns: np.ndarray) -> pd.DataFrame:
    """A row for each run and metric, of (runs, F) values."""
    index = pd.MultiIndex.from_product([runs, metrics], names=["run", "metric"])
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index).reset_index()


def _segments(
    runs: Sequence[EvaluatedRun], metrics: Sequence[str], names: Sequence[str], resamples: int, seed: int
) -> pd.DataFrame:
    """The first metric that users have alone, in every segment."""
    metric = next((name for name in metrics if name not in ("auc", "rmse")), metrics[0])
    figures = [UserFigures.of(run, [metric]) for run in runs]
    of_lists = () if runs[0].is_ranker else (ANSWERED,)
    names = (HISTORY, POPULARITY, *of_lists, *names)
    divided = {by: segment_of_users(runs[0], by) for by in names}
    several = ((by, found) for by, found in divided.items() if len(found.categories) > 1)
    parts = [(by, each, np.asarray(found == each)) for by, found in several for each in found.categories]
    if not parts:
        return pd.DataFrame()
    masks = np.stack([mask for *_, mask in parts])
    values = [run.weighted(masks.astype(np.float64))[:, 0] for run in figures]
    low, high = interval(bootstrap(figures, resamples, seed, masks)[..., 0])
    rows = [
        (by, segment, int(mask.sum()), run.name, metric, values[r][g], low[r, g], high[r, g])
        for g, (by, segment, mask) in enumerate(parts)
        for r, run in enumerate(runs)
    ]
    columns = ["by", "segment", "users", "run", "metric", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
