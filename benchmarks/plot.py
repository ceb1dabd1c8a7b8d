"""Draws the rows of a benchmark: a panel for each metric, a bar for each case and contender."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from record import Row
from tables import short

LOGARITHMIC = 20.0
"""Values that span more than this many times get a logarithmic axis; ratios always have one, so that half
as fast is as long a bar as twice as fast."""


def draw(rows: Sequence[Row], path: Path, title: str = "") -> None:
    """Draws ratios as bars from 1, dark where ours is better; a metric without ratios as bars of its values.

    If a metric has ratios, its rows without one are the references, which are left out.

    Args:
        rows: the figures, at least one.
        path: image file, its suffix being the format; an existing one is overwritten.
        title: above the panels.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    panels = {metric: lines_of(panel) for metric, panel in panels_of(rows).items()}
    heights = [len(lines) + 2 for lines in panels.values()]
    figure = Figure(figsize=(9, 0.6 + 0.2 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    figure.suptitle(title, fontsize=10)
    for axis, (metric, lines) in zip(axes, panels.items(), strict=True):
        bars = {place: row for place, (_, row) in enumerate(lines) if row is not None}
        compared = any(row.ratio is not None for row in bars.values())
        values = {place: row.value if row.ratio is None else row.ratio for place, row in bars.items()}
        least, most = min(values.values()), max(values.values())
        if compared or (least > 0 and most > LOGARITHMIC * least):
            axis.set_xscale("log")
            decades = most < 100 * least
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades else (1,)))
            axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        start = 1.0 if compared else 0.0
        for place, value in values.items():
            better = value >= start
            colour = "0.4" if better else "0.8"
            axis.barh(place, value - start, 0.7, left=start, color=colour, edgecolor="0.2", linewidth=0.6)
            axis.annotate(
                short(value), (value, place), (3 if better else -3, 0), textcoords="offset points",
                fontsize=7, va="center", ha="left" if better else "right",
            )  # fmt: skip
        if compared:
            axis.axvline(1, color="0.2", linewidth=1)
        axis.set_yticks(range(len(lines)), [text for text, _ in lines])
        axis.tick_params(labelsize=7, left=False)
        for text, (_, row) in zip(axis.get_yticklabels(), lines, strict=True):
            text.set_fontweight("bold" if row is None else "normal")
        axis.set_ylim(len(lines) - 0.4, -0.6)
        axis.margins(x=0.12)
        if not compared and least >= 0 and axis.get_xscale() == "linear":
            axis.set_xlim(left=0)
        axis.set_title(f"{metric}: times as good as the reference" if compared else metric, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def panels_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Metric -> its rows with a ratio, or all of them if none has one.

    Example:
        >>> rows = [Row("a", "we", "s", 2, "torch", 1.5), Row("a", "torch", "s", 3), Row("a", "us", "MB", 7)]
        >>> {metric: [row.contender for row in panel] for metric, panel in panels_of(rows).items()}
        {'s': ['we'], 'MB': ['us']}
    """
    panels: dict[str, list[Row]] = {}
    for row in rows:
        panels.setdefault(row.metric, []).append(row)
    return {
        metric: [row for row in panel if row.ratio is not None] or panel for metric, panel in panels.items()
    }


def lines_of(panel: Sequence[Row]) -> list[tuple[str, Row | None]]:
    """The lines of a panel from top to bottom; a case of several rows is a heading, which has no row.

    Example:
        >>> rows = [Row("1 query", "ours", "s", 2, name, 1.5) for name in ("torch", "FAISS")]
        >>> [text for text, _ in lines_of([*rows, Row("2 queries", "ours", "s", 2)])]
        ['1 query', 'ours / torch', 'ours / FAISS', '2 queries: ours']
    """
    lines: list[tuple[str, Row | None]] = []
    for case, of_case in groupby(panel, key=lambda row: row.case):
        named = [(row.name, row) for row in of_case]
        if len(named) > 1:
            lines += [(case, None), *named]
        else:
            lines.append((f"{case}: {named[0][0]}", named[0][1]))
    return lines
