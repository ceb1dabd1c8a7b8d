"""Reports the results of embedding_throughput.py: records for JSON, a table, a bar chart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import limit
from interleaved import Timing, quartiles
from throughput_settings import Case

GATHER = "index_select"  # the yardstick's name among the timings
Record = dict[str, Any]


def records(
    case: Case, stage: str, timings: Mapping[str, Timing], step_bytes: Mapping[str, int], lookups: int
) -> list[Record]:
    """One record per contender; lookups and bytes are totals of all ranks.

    Ratios are medians over the rounds of the ratio within a round, so a slow period does not change them.

    Args:
        case: the sizes.
        stage: the pass.
        timings: contender -> timing, including the yardstick, and those of ``limit`` if they were measured.
        step_bytes: bytes that a step of the pass must move, and those of ``GATHER``.
        lookups: lookups per step.

    Returns:
        The records, the yardstick first.
    """
    yardstick = timings[GATHER]
    first = timings[_first(timings)]
    limits = [timings[name].rounds for name in limit.NAMES if name in timings]
    found = []
    for name, timing in timings.items():
        low, median, high = timing.quartiles
        kind = "gather" if name == GATHER else "limit" if name in limit.NAMES else stage
        moved = step_bytes[{"gather": GATHER, "limit": "forward"}.get(kind, stage)]
        ranks = len(timing.by_rank)
        in_round = list(zip(yardstick.rounds, first.rounds, timing.rounds, strict=True))
        shares = [gather * moved / (step_bytes[GATHER] * seconds) for gather, _, seconds in in_round]
        ratios = [one / seconds for _, one, seconds in in_round]
        fastest = [min(both) * moved / step_bytes["forward"] for both in zip(*limits, strict=True)]
        of_limit = [least / seconds for least, seconds in zip(fastest, timing.rounds, strict=bool(limits))]
        found.append(
            {
                **asdict(case),
                "pass": kind,
                "compared_pass": stage,
                "contender": name,
                "steps_per_block": timing.steps,
                "seconds_median": median,
                "seconds_lower_quartile": low,
                "seconds_upper_quartile": high,
                "seconds_rounds": timing.rounds,
                "seconds_median_by_rank": timing.by_rank,
                "lookups_per_step": lookups,
                "lookups_per_second": lookups / median,
                "lookups_per_second_per_rank": lookups / median / ranks,
                "bytes_per_step": moved,
                "gigabytes_per_second": moved / median / 1e9,
                "gigabytes_per_second_per_rank": moved / median / 1e9 / ranks,
                "share_of_gather": quartiles(shares)[1],
                "share_of_limit": quartiles(of_limit)[1] if limits else None,
                "ratio_to_first": quartiles(ratios)[1],
            }
        )
    return found


def table(found: Sequence[Record]) -> str:
    """An aligned table of the records of one case."""
    ranks = len(found[0]["seconds_median_by_rank"])
    title = f"{_case(found[0])}, {ranks} rank{'s' * (ranks > 1)}"
    first = _first([record["contender"] for record in found])
    head = ["pass", "contender", "ms/step", "(quartiles)", "M lookups/s", "GB/s"]
    head += ["of gather", "of limit", f"x {first}"]
    if ranks > 1:
        head[5:5] = ["per rank"]
    lines = []
    for record in found:
        low, high = record["seconds_lower_quartile"] * 1e3, record["seconds_upper_quartile"] * 1e3
        is_yardstick = record["pass"] in ("gather", "limit")
        line = [
            record["pass"],
            record["contender"],
            f"{record['seconds_median'] * 1e3:.3f}",
            f"({low:.3f} to {high:.3f})",
            f"{record['lookups_per_second'] / 1e6:.3f}",
            f"{record['gigabytes_per_second']:.2f}",
            f"{record['share_of_gather']:.3f}",
            "" if record["share_of_limit"] is None else f"{record['share_of_limit']:.3f}",
            "" if is_yardstick else f"{record['ratio_to_first']:.3f}",
        ]
        if ranks > 1:
            line[5:5] = [f"{record['lookups_per_second_per_rank'] / 1e6:.3f}"]
        lines.append(line)
    widths = [max(len(row[column]) for row in [head, *lines]) for column in range(len(head))]
    text = [
        "  ".join(
            cell.ljust(size) if column < 2 else cell.rjust(size)
            for column, (cell, size) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, *lines]
    ]
    return "\n".join([title, *("  " + line for line in text)])


def _first(names: Iterable[str]) -> str:
    """The contender that the others are compared with."""
    return next(name for name in names if name not in (GATHER, *limit.NAMES))


def _case(record: Record) -> Case:
    return Case(**{field.name: record[field.name] for field in fields(Case)})


def plot(found: Sequence[Record], path: Path) -> None:
    """Bars of lookups/s with quartiles, a row of panels for each case, a column for each pass."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels: dict[tuple[str, str], list[Record]] = {}
    for record in found:
        if record["pass"] in ("gather", "limit") and record["compared_pass"] != "forward":
            continue  # they do no update, and would dwarf the bars of updates
        panels.setdefault((str(_case(record)), record["compared_pass"]), []).append(record)
    cases, stages = (list(dict.fromkeys(key[axis] for key in panels)) for axis in (0, 1))
    figure, axes = pyplot.subplots(
        len(cases),
        len(stages),
        figsize=(8 * len(stages), 2.6 * len(cases)),
        squeeze=False,
        layout="constrained",
    )
    for (case, stage), bars in panels.items():
        axis = axes[cases.index(case)][stages.index(stage)]
        names = [record["contender"] for record in bars]
        rates = [record["lookups_per_second"] / 1e6 for record in bars]
        lows = [record["lookups_per_step"] / record["seconds_upper_quartile"] / 1e6 for record in bars]
        highs = [record["lookups_per_step"] / record["seconds_lower_quartile"] / 1e6 for record in bars]
        spread = [
            [rate - low for rate, low in zip(rates, lows, strict=True)],
            [high - rate for rate, high in zip(rates, highs, strict=True)],
        ]
        colours = ["tab:blue" if record["pass"] == stage else "0.7" for record in bars]
        axis.barh(names, rates, xerr=spread, color=colours, ecolor="0.2", capsize=3)
        axis.invert_yaxis()
        axis.set_title(f"{stage}: {case}", fontsize=9)
        axis.set_xlabel("million lookups per second, all ranks")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
