"""Times how batches are built, compared with row-by-row builders and with a training step.

python benchmarks/batching.py --output batching.json
python benchmarks/batching.py --users 20_000 --history 200
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import interleaved
from batching_contenders import Workload, training_part, workloads
from command import Common, check_common, run_command
from interleaved import Timing, compared
from record import Row, save
from tables import table_of

from torchrec_ext.distributed import join_group, quiet_libraries
from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Settings(Common):
    """Times how batches are built, compared with row-by-row builders and with a training step.

    An example is a history, its target and three context features. See benchmarks/README.md for the
    meaning of each number.
    """

    users: int = 2000
    """Number of users of the log."""
    events: int = 1000
    """Events per user; all but two are examples."""
    items: int = 50_000
    """Number of items, with frequencies after Zipf's law."""
    history: int = 64
    """Number of newest events of a history."""
    batch: int = 2048
    """Examples per batch."""
    sampled: int = 512
    """Candidates drawn per batch for the retriever, besides the targets."""
    dim: int = 32
    """Width of the models' vectors."""
    rounds: int = 5
    """Timed blocks per contender."""
    block_seconds: float = 0.3
    """Approximate length of a block, at least one batch."""
    threads: int = 1
    """Threads that torch may use."""
    seed: int = 0
    """Seed of the log, the order and the weights."""


QUICK: dict[str, Any] = {"users": 200, "events": 300, "batch": 512, "rounds": 3, "block_seconds": 0.1}
LEAST = {
    "users": 1, "events": 4, "items": 2, "history": 1, "batch": 1, "sampled": 1, "dim": 1, "rounds": 1,
    "threads": 1,
}  # fmt: skip


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, QUICK)


def check(settings: Settings) -> None:
    """Checks the settings before anything is measured.

    Raises:
        InputError: with the setting, its value and what is expected.
    """
    check_common(settings, **LEAST)
    examples = settings.users * (settings.events - 2)
    if settings.batch > examples:
        raise InputError(
            f"--batch is {settings.batch}, but {settings.users} users of {settings.events} events are "
            f"{examples} examples: give a smaller batch or more users"
        )


def run(settings: Settings) -> None:
    """Measures both kinds of examples, prints a table and writes the files."""
    join_group()  # interleaved.measure needs one
    train = training_part(settings)
    rows: list[Row] = []
    with quiet_libraries():
        for workload in workloads(train, settings):
            timings = interleaved.measure(
                workload.actions,
                rounds=settings.rounds,
                warmup=0,  # the blocks that determine the number of steps come first
                block_seconds=settings.block_seconds,
                synchronise=lambda: None,
                clock="processor" if settings.threads == 1 else "wall",
            )
            rows += rows_of(workload, timings, settings.batch)
    print(f"batches of {settings.batch:,} examples from a log of {len(train):,} events")
    print(table_of(rows))
    save(settings, "batching", rows, packages=["numpy"])


def rows_of(workload: Workload, timings: Mapping[str, Timing], batch: int) -> list[Row]:
    """Our examples/s, once for each other contender; theirs; and what is not in any of them."""
    case = workload.examples
    speeds = {name: batch / timing.quartiles[1] for name, timing in timings.items()}
    others = {name: timing.rounds for name, timing in timings.items() if name != "ours"}
    ours = timings["ours"].rounds
    return [
        *(
            compared(case, "ours", "examples/s", speeds["ours"], name, ours, taken)
            for name, taken in others.items()
        ),
        *(Row(case, name, "examples/s", speeds[name]) for name in others),
        Row(case, "ours", "first batch, ms", 1e3 * workload.first_seconds),
        Row(case, "ours", "history", workload.mean_history),
    ]


if __name__ == "__main__":
    main()
