"""Times how batches are built, compared with row-by-row builders and with a training step.

python benchmarks/batching.py --output batching.json
python benchmarks/batching.py --users 20_000 --history 200
"""

import time
from collections.abc import Mapping
from typing import Any

import interleaved
from batching_contenders import Workload, training_part, workloads
from batching_settings import QUICK, Settings, check
from command import run_command
from interleaved import Timing, quartiles
from record import Row, write
from tables import aligned

from torchrec_ext.distributed import join_group, quiet_libraries

Record = dict[str, Any]


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, QUICK)


def run(settings: Settings) -> None:
    """Measures both kinds of examples, prints a table and writes the output file."""
    began = time.perf_counter()
    join_group()  # interleaved.measure needs one
    train = training_part(settings)
    found: list[Record] = []
    with quiet_libraries():
        for workload in workloads(train, settings):
            timings = interleaved.measure(
                workload.actions,
                rounds=settings.rounds,
                warmup=0,  # the blocks that determine the number of steps come first
                block_seconds=settings.block_seconds,
                synchronise=lambda: None,
            )
            found += records(workload, timings, settings.batch)
    print(f"batches of {settings.batch:,} examples from a log of {len(train):,} events")
    print(table(found))
    print(f"\n{time.perf_counter() - began:.0f} s in total, threads: {settings.threads}")
    if settings.output is not None:
        write(settings.output, "batching", rows(found), packages=["numpy"], settings=settings, results=found)


def records(workload: Workload, timings: Mapping[str, Timing], batch: int) -> list[Record]:
    """A record for each contender; ratios are medians over the rounds of the ratio within a round."""
    ours, training = timings["ours"].rounds, timings["training"].rounds
    found = []
    for name, timing in timings.items():
        low, seconds, high = timing.quartiles
        found.append({
            "examples": workload.examples,
            "contender": name,
            "model": workload.model,
            "mean_history": workload.mean_history,
            "first_batch_seconds": workload.first_seconds,
            "seconds": seconds,
            "seconds_lower_quartile": low,
            "seconds_upper_quartile": high,
            "seconds_rounds": timing.rounds,
            "batches_per_block": timing.steps,
            "examples_per_second": batch / seconds,
            "times_ours": _ratio(timing.rounds, ours),
            "share_of_training": _ratio(timing.rounds, training),
        })  # fmt: skip
    return found


def _ratio(seconds: list[float], other: list[float]) -> float:
    return quartiles([a / b for a, b in zip(seconds, other, strict=True)])[1]


def rows(found: list[Record]) -> list[Row]:
    """The rows of the common schema: our examples/s, once for each other contender."""
    ours = {r["examples"]: r["examples_per_second"] for r in found if r["contender"] == "ours"}
    return [
        Row(r["examples"], "ours", "examples/s", ours[r["examples"]], r["contender"], r["times_ours"])
        for r in found
        if r["contender"] != "ours"
    ]


HEAD = ("", "ms per batch", "examples/s", "(quartiles)", "time/ours", "time/training step")


def table(found: list[Record]) -> str:
    """An aligned table, one line per contender, with a title for each kind of examples."""
    lines: list[list[str]] = []
    for record in found:
        title = (
            f"{record['examples']}: histories of {record['mean_history']:.0f} events on average, "
            f"first batch of an epoch after {record['first_batch_seconds'] * 1e3:.0f} ms"
        )
        if [title] not in lines:
            lines.append([title])
        slow, fast = (
            record["examples_per_second"] * record["seconds"] / record[f"seconds_{quartile}_quartile"]
            for quartile in ("upper", "lower")
        )
        training = record["contender"] == "training"
        lines.append([
            f"training step of {record['model']}" if training else record["contender"],
            f"{record['seconds'] * 1e3:.2f}",
            f"{record['examples_per_second']:,.0f}",
            f"({slow:,.0f} to {fast:,.0f})",
            f"{record['times_ours']:.1f}",
            f"{record['share_of_training']:.1%}",
        ])  # fmt: skip
    return aligned([[*HEAD], *(line if len(line) > 1 else line[0] for line in lines)], indent="  ")


if __name__ == "__main__":
    main()
