"""Pictures of a report, as inline SVG; runs differ by line and marker, not by colour alone."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from torchrec_ext.metrics import user_metrics
from torchrec_ext.reporting.evaluated_run import EvaluatedRun
from torchrec_ext.training.curves import curves_figure

# Okabe and Ito's colours, which people with any colour vision can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1)), (0, (8, 3)))
_MARKERS = "os^DvP"
_INK, _GREY, _FAINT = "#333333", "#777777", "#DDDDDD"
_LENGTHS = (1, 2, 3, 5, 10, 20, 30, 50, 100)


def pictures(runs: Sequence[EvaluatedRun], k: int = 10) -> dict[str, str]:
    """Caption -> SVG of every picture that the runs have data for."""
    return {caption: _svg(figure, name, caption) for name, caption, figure in _figures(runs, k)}


def _figures(runs: Sequence[EvaluatedRun], k: int) -> Iterator[tuple[str, str, Figure]]:
    """A name, a caption and a figure of each picture."""
    if runs[0].is_ranker:
        caption = "Calibration: share of positives among pairs of about the same probability"
        labels = "predicted probability", "share of positives"
        yield "calibration", caption, _panel(*labels, _calibration, runs)
    else:
        labels = "length of the list", "NDCG"
        yield "by-length", "NDCG by length of the list", _panel(*labels, _by_length, runs)
        caption = f"Exposure: share of the first {k} places that the most shown items take"
        labels = "share of the catalogue, most shown first", "share of the places"
        yield "exposure", caption, _panel(*labels, _exposure, runs, k)
        caption = "Accuracy against coverage, a point for each length of the list"
        labels = "share of the catalogue in any list", "NDCG"
        yield "coverage", caption, _panel(*labels, _against_coverage, runs)
    histories = [run.history.assign(model=run.name) for run in runs if run.history is not None]
    history = pd.concat(histories, ignore_index=True) if histories else pd.DataFrame()
    for metric in ("loss", "auc", f"ndcg@{k}"):
        columns = [name for name in (f"train_{metric}", f"valid_{metric}") if name in history]
        if history[columns].notna().any(axis=None):
            figure = curves_figure(history[["epoch", "model", *columns]])
            yield f"curve-{metric.partition('@')[0]}", f"Learning curve: {metric} by epoch", figure


def _by_length(axes: Axes, runs: Sequence[EvaluatedRun]) -> None:
    for place, run in enumerate(runs):
        ks = [k for k in _LENGTHS if k <= run.values.items.num_rows]
        ranks, offsets = (torch.from_numpy(np.array(values)) for values in run.lists("ranks"))
        found = user_metrics(ranks, offsets, ks)
        axes.plot(ks, [float(found[f"ndcg@{k}"].mean()) for k in ks], **_look(place), label=run.name)
    axes.set_xscale("log")
    axes.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)


def _exposure(axes: Axes, runs: Sequence[EvaluatedRun], k: int) -> None:
    for place, run in enumerate(runs):
        shown = np.bincount(run.places("list", k)[1], minlength=run.values.items.num_rows)
        axes.plot(*_cumulated(shown), **{**_look(place), "marker": ""}, label=run.name)
    known = runs[0].values.items["events"].to_numpy()
    axes.plot(*_cumulated(known), color=_GREY, linewidth=1, label="known events")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (1, 3)), label="equal")


def _cumulated(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shares = np.concatenate([[0], np.cumsum(np.sort(counts)[::-1]) / max(counts.sum(), 1)])
    kept = np.unique(np.linspace(0, len(counts), 101).astype(int))  # as many points as can be told apart
    return kept / len(counts), shares[kept]


def _against_coverage(axes: Axes, runs: Sequence[EvaluatedRun]) -> None:
    sources = [(run.name, run.figures) for run in runs]
    if popular := runs[0].figures.get("popularity"):
        sources.append(("popularity", popular))
    for place, (name, figures) in enumerate(sources):
        ks = sorted(int(key.partition("@")[2]) for key in figures if key.startswith("coverage@"))
        coverage, ndcg = ([figures[f"{what}@{k}"] for k in ks] for what in ("coverage", "ndcg"))
        axes.plot(coverage, ndcg, **_look(place), label=name)
        for k, x, y in zip(ks, coverage, ndcg, strict=True):
            axes.annotate(f"{k}", (x, y), (5, 4), textcoords="offset points", fontsize=8, color=_INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.15)


def _calibration(axes: Axes, runs: Sequence[EvaluatedRun]) -> None:
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (1, 3)), label="calibrated")
    for place, run in enumerate(runs):
        found = calibration(run.lists("scores")[0], run.lists("labels")[0])
        axes.plot(*found, **_look(place), label=run.name)
    axes.set(xlim=(0, 1), ylim=(0, 1))


def calibration(scores: np.ndarray, labels: np.ndarray, bins: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability and share of positives of pairs in bins of about as many pairs.

    Example:
        >>> mean, share = calibration(np.array([0.1, 0.9, 0.3, 0.7]), np.array([0, 1, 0, 1]), bins=2)
        >>> mean.round(3).tolist(), share.tolist()
        ([0.2, 0.8], [0.0, 1.0])
    """
    groups = np.array_split(np.argsort(scores, kind="stable"), min(bins, len(scores)))
    return np.array([scores[g].mean() for g in groups]), np.array([labels[g].mean() for g in groups])


def _panel(x_label: str, y_label: str, draw: Callable[..., None], *drawn: Any) -> Figure:
    figure = Figure(figsize=(4.8, 3.3))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot(axisbelow=True)
    axes.set_xlabel(x_label, color=_INK)
    axes.set_ylabel(y_label, color=_INK)
    axes.grid(color=_FAINT, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=9)
    draw(axes, *drawn)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _look(place: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "linestyle": _DASHES[place % len(_DASHES)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "markersize": 4.5,
        "linewidth": 1.8,
    }


def _svg(figure: Figure, name: str, caption: str) -> str:
    """The figure as an ``svg`` image whose ids are its own on the page, and the same in every run."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(
            file, metadata={"Date": None, "Creator": None, "Type": None, "Format": None}
        )
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"|(<svg[^>]*?) height="[^"]*"', r"\1\2", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
