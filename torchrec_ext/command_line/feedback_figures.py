"""The figures of events that were predicted before they were learnt, in a file and drawn over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from torchrec_ext.command_line.feedback import Feedback

FIGURES, PICTURE = "feedback.json", "feedback.png"
_NOT_DRAWN = ("events", "position", "time")


def figures_over_time(predicted: pd.DataFrame, k: int, window: int, position: int) -> list[dict[str, Any]]:
    """Figures of each ``window`` events of :func:`~torchrec_ext.evaluation.prequential`, in their order.

    Each has ``time``, the time of its last event, and ``position``, that of the last event of the block.
    """
    from torchrec_ext.evaluation import summarise

    parts = [predicted.iloc[start : start + window] for start in range(0, len(predicted), window)]
    return [
        {**summarise(part, k), "time": float(part["time"].iloc[-1]), "position": position} for part in parts
    ]


def overall(tested: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The figures of all events together: means, in which each event counts once."""
    import numpy as np

    if not tested:
        return {"events": 0}
    weights = np.array([row["events"] for row in tested])
    found: dict[str, float] = {"events": int(weights.sum())}
    for name in tested[0]:
        if name not in _NOT_DRAWN:
            values = np.array([row.get(name, np.nan) for row in tested], float)
            there = ~np.isnan(values)
            found[name] = float(np.average(values[there], weights=weights[there])) if there.any() else np.nan
    return found


def write_figures(run: Path, feedback: Feedback) -> None:
    """Writes ``feedback.json`` and ``feedback.png`` into a run; every rank may call it, rank 0 writes."""
    from torchrec_ext.distributed import world
    from torchrec_ext.training import write_json

    tested = [{name: None if v != v else v for name, v in row.items()} for row in feedback.tested]
    means = {name: None if v != v else v for name, v in overall(feedback.tested).items()}
    write_json(run / FIGURES, {"position": feedback.position, **means, "over_time": tested})
    if world()[0] == 0 and feedback.tested:
        _draw(feedback.tested, run / PICTURE)


def _draw(tested: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel for each figure, over the number of events that were predicted."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in tested[0] if name not in _NOT_DRAWN]
    ends = np.cumsum([row["events"] for row in tested])
    positions = np.array([row["position"] for row in tested])
    learnt = ends[:-1][positions[1:] > positions[:-1]]
    figure = Figure(figsize=(5.2 * len(names), 3.6), dpi=150)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    for number, name in enumerate(names, start=1):
        panel = figure.add_subplot(1, len(names), number)
        panel.plot(ends, [row.get(name, np.nan) for row in tested], marker="o", markersize=3, color="#1f6fb4")
        for place in learnt[:200]:
            panel.axvline(place, color="#cccccc", linewidth=0.8, zorder=0)
        panel.set_title(f"{name} of events before they were learnt", fontsize=11, loc="left")
        panel.set_xlabel("events (grey: the model has learnt up to here)", fontsize=10)
        panel.set_ylim(bottom=0)
        panel.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        panel.spines[["top", "right", "left"]].set_visible(False)
    new = path.with_name(f"{path.name}.new")
    figure.savefig(new, format="png")
    new.replace(path)
