"""A sheet of small plots as a PNG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from torchrec_ext.data.distribution import Distribution

T = TypeVar("T")

_BLUE, _ORANGE = "#0072B2", "#D55E00"  # of Okabe and Ito, which people with any colour vision can tell apart
_INK, _FAINT, _PALE = "#333333", "#DDDDDD", "#999999"
_COLUMNS = 3
_BARS = 10
_SPANS = {1: "1 s", 60: "1 min", 3600: "1 h", 86_400: "1 d", 2_592_000: "30 d", 31_536_000: "1 y"}


@dataclass(frozen=True)
class Panel:
    """One plot of a sheet.

    Args:
        title: stands above it.
        x_label: what its axis from left to right shows.
        y_label: what its axis upwards shows.
        plot: draws it; None where the data is absent.
        absent: what it says instead.
    """

    title: str
    x_label: str
    y_label: str
    plot: Callable[[Axes], None] | None = None
    absent: str = ""

    def filled(self, plot: Callable[[Axes, T], None], data: T | None) -> "Panel":
        """The panel with a plot of its data, unless that is None."""
        return self if data is None else replace(self, plot=partial(_call, plot, data))


def draw_sheet(panels: Sequence[Panel], path: str | Path, title: str) -> None:
    """Writes the picture of :func:`sheet_figure` as a PNG.

    Args:
        panels: from left to right and downwards.
        path: the file to write; its folder is made.
        title: stands above the panels.
    """
    figure = sheet_figure(panels, title)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def sheet_figure(panels: Sequence[Panel], title: str) -> Figure:
    """The panels, three in a row."""
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(4.4 * _COLUMNS, 3.3 * rows + 0.5), dpi=150)
    FigureCanvasAgg(figure)  # of its own, so that nothing of pyplot's is touched
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.12)
    figure.suptitle(title, fontsize=14, color=_INK, fontweight="bold")
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, _COLUMNS, place)
        axes.set_title(panel.title, fontsize=11, color=_INK, loc="left", fontweight="bold")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(_PALE)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9, colors=_INK, length=0, which="both")
        if panel.plot is None:
            axes.spines["bottom"].set_visible(False)
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, panel.absent, transform=axes.transAxes, ha="center", color=_PALE, fontsize=11)
            continue
        axes.set_xlabel(panel.x_label, fontsize=10, color=_INK)
        axes.set_ylabel(panel.y_label, fontsize=10, color=_INK)
        panel.plot(axes)
    return figure


def histogram(
    axes: Axes,
    data: Distribution,
    axis: Literal["even", "log", "date", "duration"] = "even",
) -> None:
    """Bars of the bins; on a logarithmic axis the median is marked.

    Args:
        axes: where to draw.
        data: what to draw.
        axis: how the values are written along the bottom.
    """
    edges: Any = data.edges
    if axis == "date":
        edges = data.edges.astype("datetime64[s]")
    if axis == "even":
        axes.bar(edges[:-1], data.counts, np.diff(edges), align="edge", color=_BLUE, edgecolor="white")
    else:
        axes.stairs(data.counts, edges, fill=True, color=_BLUE)
    axes.set_ylim(0, 1.15 * max(data.counts.max(), 1))  # the median's name has room above the bars
    axes.grid(axis="y", color=_FAINT, linewidth=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    if axis == "date":
        locator = AutoDateLocator(minticks=3, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        return
    if axis in ("log", "duration"):
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        _log_ticks(axes, data, axis == "duration")
    median = data.quantiles[2]
    if data.edges[0] <= median <= data.edges[-1] and axis != "even":
        axes.axvline(median, color=_ORANGE, linewidth=1.5, linestyle=(0, (4, 2)))
        axes.annotate(
            "median", (median, 1), xycoords=("data", "axes fraction"), xytext=(4, -2),
            textcoords="offset points", va="top", fontsize=9, color=_ORANGE,
        )  # fmt: skip


def rank_frequency(axes: Axes, popularity: np.ndarray, note: str = "") -> None:
    """Events of each item over its rank, both logarithmic.

    Args:
        axes: where to draw.
        popularity: (items,) numbers of events, descending.
        note: stands in the upper right corner.
    """
    ranks = np.arange(1, len(popularity) + 1)
    # as many points as can be told apart
    chosen = np.unique(np.geomspace(1, len(popularity), 500).astype(np.int64)) - 1
    axes.loglog(ranks[chosen], popularity[chosen], color=_BLUE, linewidth=2, marker="o", markersize=2)
    head = -(-len(popularity) // 100)
    axes.axvspan(0.8, head + 0.5, color=_ORANGE, alpha=0.12, linewidth=0)
    axes.set_xlim(0.8, len(popularity) * 1.25)
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_locator(LogLocator(numticks=6))
        one.set_minor_locator(NullLocator())
        one.set_major_formatter(EngFormatter(sep=""))
    axes.grid(color=_FAINT, linewidth=0.8)
    _note(axes, note)


def shares(axes: Axes, data: Mapping[str, float]) -> None:
    """A bar from left to right for each share, its figure behind it; the largest of many.

    Args:
        axes: where to draw.
        data: name -> share, 0 to 1.
    """
    largest = sorted(data.items(), key=lambda pair: -pair[1])
    drawn, more = largest[:_BARS], len(largest) - _BARS
    places = range(len(drawn))
    axes.barh(places, [share for _, share in drawn], color=_BLUE, height=0.6)
    top = max((share for _, share in drawn), default=0) or 1.0
    for place, (_, share) in zip(places, drawn, strict=True):
        axes.text(share + 0.02 * top, place, f"{share:.1%}", va="center", fontsize=9, color=_INK)
    axes.set_yticks(places, [_short(name) for name, _ in drawn])
    axes.set_ylim(max(len(drawn), 5) - 0.4, -0.6)  # the largest on top, bars never thicker than a fifth
    axes.set_xlim(0, 1.18 * top)
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(0, top)
    axes.set_xticks([tick for tick in ticks if tick <= min(1.18 * top, 1)])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}%"))
    axes.grid(axis="x", color=_FAINT, linewidth=0.8)
    if more > 0:
        _note(axes, f"and {more} others", bottom=True)


def _call(plot: Callable[[Axes, T], None], data: T, axes: Axes) -> None:
    plot(axes, data)


def _log_ticks(axes: Axes, data: Distribution, spans: bool) -> None:
    low, high = float(data.edges[0]), float(data.edges[-1])
    ticks = [tick for tick in _SPANS if low * 0.9 <= tick <= high * 1.1] if spans else []
    if not ticks:
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        steps = (1,) if high / low > 1000 else (1, 2, 5)
        ticks = [d * s for d in decades for s in steps if low * 0.9 <= d * s <= high * 1.1]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda tick, _: _SPANS.get(round(tick), f"{tick:g} s") if spans else f"{tick:,g}")
    )


def _note(axes: Axes, note: str, bottom: bool = False) -> None:
    if note:
        axes.text(
            0.98, 0.04 if bottom else 0.97, note, transform=axes.transAxes, ha="right",
            va="bottom" if bottom else "top", fontsize=9, color=_INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )  # fmt: skip


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
