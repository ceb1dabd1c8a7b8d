"""Learning curves: a plot of training and validation metrics by epoch."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from torchrec_ext.errors import InputError

# Okabe and Ito's colours, which people with any colour vision can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v", "P")  # of the models too, for a print in black and white
_PARTS = {"train": "training", "valid": "validation"}
_STYLES: dict[str, dict[str, Any]] = {
    "train": {"linestyle": (0, (4, 2)), "linewidth": 1.3, "markerfacecolor": "white"},
    "valid": {"linestyle": "-", "linewidth": 2.0},
}
_METRIC_NAMES = {"loss": "loss", "log_loss": "log-loss", "accuracy": "accuracy"}  # others by initials
_PANELS_A_ROW = 3
_INK, _FAINT = "#333333", "#DDDDDD"


def draw_curves(history: pd.DataFrame, path: str | Path, title: str = "") -> None:
    """Writes :func:`curves_figure` as a PNG file.

    Args:
        history: see :func:`curves_figure`.
        path: the file to write; its folder is created.
        title: heading above the panels.

    Raises:
        InputError: if there is no column ``epoch`` or nothing to draw.

    Example:
        >>> import tempfile
        >>> history = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.6, 0.5], "valid_loss": [0.6, 0.55]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     draw_curves(history, f"{folder}/curves.png", title="Dot product")
        ...     [file.name for file in Path(folder).iterdir()]
        ['curves.png']
    """
    figure = curves_figure(history, title)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def curves_figure(history: pd.DataFrame, title: str = "") -> Figure:
    """One panel per metric: its value by epoch on the training and on the validation part.

    Args:
        history: one row per epoch (and model, if there is a column ``model``): column ``epoch``, then
            ``train_<metric>``, ``valid_<metric>`` or both. A missing value is left out of its line;
            a metric without any value has no panel; other columns are ignored.
        title: heading above the panels.

    Raises:
        InputError: if there is no column ``epoch`` or nothing to draw.
    """
    if "epoch" not in history:
        raise InputError(
            f"history has no column 'epoch', only {', '.join(map(str, history.columns)) or 'none'}; "
            "it needs one row per epoch"
        )
    drawn = _drawn(history)
    metrics = list(dict.fromkeys(metric for _, metric in drawn))
    if not metrics:
        raise InputError(
            "history has no value to draw; expected columns such as train_loss and valid_loss, "
            f"received {', '.join(map(str, history.columns))}"
        )
    models = list(history.groupby("model", sort=False)) if "model" in history else [("", history)]
    columns = min(len(metrics), _PANELS_A_ROW)
    rows = math.ceil(len(metrics) / columns)
    figure = Figure(figsize=(max(4.2 * columns, 5.0), 3.4 * rows + 0.6), dpi=150)
    FigureCanvasAgg(figure)  # a separate canvas, so that pyplot's state is not touched
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    for number, metric in enumerate(metrics, start=1):
        panel = figure.add_subplot(rows, columns, number)
        for i, (_, table) in enumerate(models):
            _lines(panel, table, metric, i)
        _format_panel(panel, _label(metric), int(history["epoch"].min()), int(history["epoch"].max()))
    figure.legend(
        handles=_legend_entries([str(name) for name, _ in models if name], {part for part, _ in drawn}),
        loc="outside lower center",
        ncols=6,
        frameon=False,
        labelcolor=_INK,
        fontsize=10,
    )
    if title:
        figure.suptitle(title, fontsize=13, color=_INK, fontweight="bold")
    return figure


def _drawn(history: pd.DataFrame) -> list[tuple[str, str]]:
    """Part and metric of every column that has a value to draw, in order of the columns."""
    halves = [str(column).partition("_") for column in history if history[column].notna().any()]
    return [(part, metric) for part, _, metric in halves if part in _PARTS and metric]


def _lines(panel: Axes, table: pd.DataFrame, metric: str, model: int) -> None:
    look: dict[str, Any] = {
        "color": _COLOURS[model % len(_COLOURS)],
        "marker": _MARKERS[model % len(_MARKERS)],
    }
    for part, style in _STYLES.items():
        column = f"{part}_{metric}"
        if column in table:
            line = table[["epoch", column]].dropna().sort_values("epoch")
            size = 4.5 if len(line) <= 20 else 0  # points that are close together hide their line
            panel.plot(line["epoch"], line[column], markersize=size, **look, **style)


def _format_panel(panel: Axes, label: str, first: int, last: int) -> None:
    panel.set_title(label, fontsize=11, color=_INK, loc="left")
    panel.set_xlabel("epoch", fontsize=10, color=_INK)
    edge = 0.3 + 0.02 * (last - first)
    panel.set_xlim(first - edge, last + edge)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], nbins=8, min_n_ticks=1))
    panel.yaxis.set_major_locator(MaxNLocator(nbins=6))
    panel.ticklabel_format(axis="y", useOffset=False)
    panel.margins(y=0.12)
    panel.grid(axis="y", color=_FAINT, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color("#999999")
    panel.tick_params(labelsize=9, colors=_INK, length=0)


def _legend_entries(models: list[str], parts: set[str]) -> list[Line2D]:
    """Entries of the legend: colour and marker of each model, then a line for each part that is drawn."""
    colours = [
        Line2D(
            [],
            [],
            color=_COLOURS[i % len(_COLOURS)],
            marker=_MARKERS[i % len(_MARKERS)],
            markersize=6,
            linewidth=3,
            label=name,
        )
        for i, name in enumerate(models)
    ]
    ink = _INK if models else _COLOURS[0]
    return colours + [
        Line2D([], [], color=ink, marker=_MARKERS[0], markersize=4.5, label=name, **_STYLES[part])
        for part, name in _PARTS.items()
        if part in parts
    ]


def _label(metric: str) -> str:
    name = _METRIC_NAMES.get(metric)
    return name.capitalize() if name else metric.replace("_", " ").upper()
