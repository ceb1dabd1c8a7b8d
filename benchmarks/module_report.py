"""Reports the results of modules.py: records for JSON, a table with one line per module, a bar chart."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from interleaved import quartiles
from module_measurement import Measured
from record import Row
from tables import aligned

Record = dict[str, Any]


def record(
    group: str, name: str, size: str, examples: int, measured: Mapping[str, Measured], **more: Any
) -> Record:
    """The record of a module: of ``measured["ours"]``, and of the other contender if there is one.

    Ratios are medians over the rounds of the ratio within a round, so a slow period does not change them.

    Args:
        group: the module's group.
        name: its name.
        size: the sizes, as text.
        examples: examples per step.
        measured: ``ours``, and the other contender under any name.
        more: further entries of the record.

    Returns:
        The record; its ``forward_ratio`` and ``step_ratio`` are ours over the other, or None without another.
    """
    ours = measured["ours"]
    others = {kind: other for kind, other in measured.items() if kind != "ours"}
    made: Record = {"group": group, "module": name, "size": size, **more, "ours": _figures(ours, examples)}
    made |= {kind: _figures(other, examples) for kind, other in others.items()}
    for part in ("forward", "step"):
        ratios = [
            _ratio(getattr(ours, part).rounds, getattr(other, part).rounds) for other in others.values()
        ]
        made[f"{part}_ratio"] = ratios[0] if ratios else None
    return made


def _figures(measured: Measured, examples: int) -> Record:
    low, step, high = measured.step.quartiles
    return {
        "forward_seconds": measured.forward.quartiles[1],
        "backward_seconds": quartiles(measured.backward_rounds)[1],
        "step_seconds": step,
        "step_seconds_lower_quartile": low,
        "step_seconds_upper_quartile": high,
        "forward_seconds_rounds": measured.forward.rounds,
        "step_seconds_rounds": measured.step.rounds,
        "steps_per_block": measured.step.steps,
        "examples_per_step": examples,
        "examples_per_second": examples / step,
        "peak_bytes": measured.costs.peak_bytes,
        "parameters": measured.costs.parameters,
        "flops": measured.costs.flops,
        "machine_flops_per_second": quartiles(measured.flop_rates)[1],
        "share_of_flop_rate": quartiles(measured.shares)[1],
    }


def _ratio(ours: Sequence[float], other: Sequence[float]) -> float:
    return quartiles([a / b for a, b in zip(ours, other, strict=True)])[1]


def rows(found: Sequence[Record], other: str) -> list[Row]:
    """The rows of the common schema: examples/s of a step, and the speed relative to the other contender."""
    return [
        Row(
            f"{r['group']}: {r['size']}", r["module"], "examples/s", r["ours"]["examples_per_second"],
            None if r["step_ratio"] is None else f"{other}: {r['made_of']}",
            None if r["step_ratio"] is None else 1 / r["step_ratio"],
        )
        for r in found
    ]  # fmt: skip


HEAD = (
    "module", "forward ms", "backward ms", "examples/s", "(quartiles)", "peak MB", "parameters", "GFLOP",
    "of FLOP rate",
)  # fmt: skip


def table(found: Sequence[Record], other: str = "peer") -> str:
    """An aligned table, one line per module, with a title for each group and size.

    Args:
        found: the records.
        other: the contender that ours is compared with, a key of the records.
    """
    head = [*HEAD, f"forward/{other}", f"step/{other}", other]
    lines: list[str | list[str]] = []
    for (group, size), records in groupby(found, key=lambda r: (r["group"], r["size"])):
        lines += [f"{group}: {size}", *(_line(record) for record in records)]
    return aligned([head, *lines], indent="  ")


def _line(record: Record) -> list[str]:
    ours = record["ours"]
    slow, fast = (
        ours["examples_per_step"] / ours[f"step_seconds_{name}_quartile"] for name in ("upper", "lower")
    )
    return [
        record["module"],
        f"{ours['forward_seconds'] * 1e3:.2f}",
        f"{ours['backward_seconds'] * 1e3:.2f}",
        f"{ours['examples_per_second']:,.0f}",
        f"({slow:,.0f} to {fast:,.0f})",
        f"{ours['peak_bytes'] / 1e6:.1f}",
        f"{ours['parameters']:,}",
        f"{ours['flops'] / 1e9:.3f}",
        f"{ours['share_of_flop_rate']:.1%}",
        *(
            "" if record[ratio] is None else f"{record[ratio]:.2f}"
            for ratio in ("forward_ratio", "step_ratio")
        ),
        record["made_of"] or "",
    ]


def plot(found: Sequence[Record], path: Path) -> None:
    """Bars of a step's milliseconds, forward and backward, those of the peer below, and the ratio of both."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = {group: list(records) for group, records in groupby(found, key=lambda record: record["group"])}
    heights = [len(records) + 1 for records in groups.values()]
    figure, axes = pyplot.subplots(
        len(groups), 1, figsize=(9, 0.5 * sum(heights) + 0.5 * len(groups)), squeeze=False,
        layout="constrained", height_ratios=heights,
    )  # fmt: skip
    for axis, (group, records) in zip(axes[:, 0], groups.items(), strict=True):
        for row, record in enumerate(records):
            for who, colours, offset in (("ours", ("C0", "C9"), -0.2), ("peer", ("0.55", "0.8"), 0.2)):
                if who not in record:
                    continue
                ahead, back = (record[who][f"{part}_seconds"] * 1e3 for part in ("forward", "backward"))
                labels = [f"{who}, {part}" if not row else None for part in ("forward", "backward")]
                axis.barh(row + offset, ahead, 0.38, color=colours[0], label=labels[0])
                axis.barh(row + offset, max(0.0, back), 0.38, left=ahead, color=colours[1], label=labels[1])
            if record["step_ratio"] is not None:
                end = (
                    sum(max(0.0, record["ours"][f"{part}_seconds"]) for part in ("forward", "backward")) * 1e3
                )
                axis.text(end, row - 0.2, f" {record['step_ratio']:.2f} of peer", va="center", fontsize=7)
        axis.set_yticks(range(len(records)), [record["module"] for record in records])
        axis.invert_yaxis()
        axis.margins(x=0.12)
        axis.set_title(f"{group}: {records[0]['size']}", fontsize=9)
        axis.set_xlabel("milliseconds of a training step", fontsize=8)
    handles = {
        label: bar
        for axis in axes[:, 0]
        for bar, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
