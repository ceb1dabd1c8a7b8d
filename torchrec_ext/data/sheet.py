"""A sheet of small plots."""

from collections.abc import Mapping, Sized
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

Axis: TypeAlias = Literal["even", "log", "date", "duration"]
Words: TypeAlias = tuple[str, str, str, str]
"""Title, labels of both axes, and what a plot says whose data is absent."""

_BLUE, _ORANGE = "#0072B2", "#D55E00"  # of Okabe and Ito, which people with any colour vision can tell apart
_INK, _FAINT, _PALE = "#333333", "#DDDDDD", "#999999"
_BARS, _BINS = 10, 40
_FEW = 20  # as many distinct values at most have a bin each
_SPANS = {1: "1 s", 60: "1 min", 3600: "1 h", 86_400: "1 d", 2_592_000: "30 d", 31_536_000: "1 y"}


def six_plots(title: str) -> tuple[Figure, list[Axes]]:
    """A figure with room for six plots, three in a row."""
    figure = Figure(figsize=(13.2, 7.1), dpi=150)
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.12)
    FigureCanvasAgg(figure)  # of its own, so that nothing of pyplot's is touched
    figure.suptitle(title, fontsize=14, color=_INK, fontweight="bold")
    return figure, [figure.add_subplot(2, 3, place, axisbelow=True) for place in range(1, 7)]


def histogram(axes: Axes, data: np.ndarray | None, words: Words, axis: Axis = "even") -> None:
    """Bars of numbers; a logarithmic axis (``log``, or ``duration`` in seconds) marks the median."""
    values = np.empty(0) if data is None else data[np.isfinite(data)]
    if not _labelled(axes, values, words):
        return
    edges: Any = bin_edges(values, axis)
    counts = np.histogram(values, edges)[0]
    if axis == "date":
        locator = AutoDateLocator(minticks=3, maxticks=6)
        axes.xaxis.set(major_locator=locator, major_formatter=ConciseDateFormatter(locator))
        edges = edges.astype("datetime64[s]")
    if axis == "even":
        axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=_BLUE, edgecolor="white")
    else:
        axes.stairs(counts, edges, fill=True, color=_BLUE)
    axes.set_ylim(0, 1.15 * max(counts.max(), 1))  # the median's name has room above the bars
    axes.grid(axis="y", color=_FAINT, linewidth=0.8)
    whole = ticker.MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10])
    axes.yaxis.set(major_locator=whole, major_formatter=ticker.EngFormatter(sep=""))
    if axis in ("even", "date"):
        return
    low, high, median = edges[0], edges[-1], np.median(values)
    spans = [tick for tick in _SPANS if low * 0.9 <= tick <= high * 1.1] if axis == "duration" else []
    decades = ticker.LogLocator(subs=(1.0,) if high > 1000 * low else (1.0, 2.0, 5.0))
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.xaxis.set_major_locator(ticker.FixedLocator(spans) if spans else decades)
    axes.xaxis.set_major_formatter(lambda tick, _: _SPANS[round(tick)] if spans else f"{tick:,g}")
    if low <= median <= high:
        axes.axvline(median, color=_ORANGE, linewidth=1.5, linestyle=(0, (4, 2)))
        axes.text(median, 0.97, " median", transform=axes.get_xaxis_transform(), va="top", color=_ORANGE)


def bin_edges(values: np.ndarray, axis: Axis = "even") -> np.ndarray:
    """Ascending edges: a bin for each of few values; logarithmic ones leave 0 out, whole of integers."""
    if axis in ("log", "duration"):
        positive = values[values > 0]
        low, high = (positive.min(), positive.max()) if len(positive) else (1, 9)
        if values.dtype.kind in "iu":
            return np.unique(np.floor(np.geomspace(low, high + 1, _BINS + 1) * (1 + 1e-12)))
        return np.geomspace(low, high, _BINS + 1) if low < high else np.array([low * 0.9, low * 1.1])
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    distinct = np.unique(values) if axis == "even" else None
    if distinct is None or len(distinct) > _FEW:
        return np.linspace(low, high, _BINS + 1)
    middles = (distinct[1:] + distinct[:-1]) / 2
    return np.concatenate([[2 * low - middles[0]], middles, [2 * high - middles[-1]]])


def rank_frequency(axes: Axes, popularity: np.ndarray | None, words: Words, note: str = "") -> None:
    """Events of each item, (items,) descending, over its rank, both logarithmic; the top 1% is shaded."""
    popularity = np.empty(0) if popularity is None else popularity
    if not _labelled(axes, popularity, words):
        return
    # as many points as can be told apart
    ranks = np.unique(np.geomspace(1, len(popularity), 500).astype(np.int64))
    axes.loglog(ranks, popularity[ranks - 1], color=_BLUE, linewidth=2, marker="o", markersize=2)
    axes.axvspan(0.8, -(-len(popularity) // 100) + 0.5, color=_ORANGE, alpha=0.12, linewidth=0)
    axes.set_xlim(0.8, len(popularity) * 1.25)
    for one in (axes.xaxis, axes.yaxis):
        one.set(major_locator=ticker.LogLocator(numticks=6), minor_locator=ticker.NullLocator())
        one.set_major_formatter(ticker.EngFormatter(sep=""))
    axes.grid(color=_FAINT, linewidth=0.8)
    axes.set_title(note, loc="right", fontsize=9, color=_INK)


def shares(axes: Axes, data: Mapping[str, float], words: Words) -> None:
    """A bar for each share, 0 to 1, its figure behind it; the ten largest of many."""
    if not _labelled(axes, data, words):
        return
    names, drawn = zip(*sorted(data.items(), key=lambda pair: -pair[1])[:_BARS], strict=True)
    bars = axes.barh(range(len(drawn)), drawn, color=_BLUE, height=0.6)
    axes.bar_label(bars, [f"{share:.1%}" for share in drawn], padding=4, fontsize=9, color=_INK)
    axes.set_yticks(range(len(drawn)), [name if len(name) <= 18 else f"{name[:17]}…" for name in names])
    axes.set_ylim(max(len(drawn), 5) - 0.4, -0.6)  # the largest on top, bars never thicker than a fifth
    axes.set_xlim(0, 1.18 * drawn[0])
    axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")
    axes.grid(axis="x", color=_FAINT, linewidth=0.8)
    if len(data) > _BARS:
        axes.set_title(f"and {len(data) - _BARS} others", loc="right", fontsize=9, color=_INK)


def _labelled(axes: Axes, data: Sized, words: Words) -> bool:
    """Writes title and labels, or that the data is absent; whether there is any."""
    title, x_label, y_label, absent = words
    axes.set_title(title, fontsize=11, color=_INK, loc="left", fontweight="bold")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=9, colors=_INK, length=0, which="both")
    if not len(data):
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, absent, transform=axes.transAxes, ha="center", color=_PALE, fontsize=11)
        return False
    axes.set_xlabel(x_label, fontsize=10, color=_INK)
    axes.set_ylabel(y_label, fontsize=10, color=_INK)
    return True
