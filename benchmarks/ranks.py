"""Times epochs of fit() over the whole catalogue on one process and on several: processor time of a rank.

python benchmarks/ranks.py --output ranks.json --plot ranks.png
python benchmarks/ranks.py --quick
"""

import multiprocessing
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import machine
import torch
import training_throughput
from command import check_common, run_command
from interleaved import compared, quartiles
from record import Row, save
from tables import table_of
from training_throughput import SHAPES, WARM_UP, generated, train_with_fit, windows_of
from turns import Contender, Finished, Turn, in_turns

import torchrec_ext as tx
from torchrec_ext.data import Dataset

ALONE = "1 process"
METRIC = "ms a rank / 1,000 targets"


@dataclass(frozen=True)
class Settings(training_throughput.Settings):
    """What is measured; ``batch`` counts the windows of all processes together."""

    users: int = 400
    """Users whose events are learnt."""
    processes: int = 2
    """Processes that are compared with one."""


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, {"data": "generated", "users": 60, "rounds": 2})


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    training_throughput.check(settings)
    check_common(settings, batch=settings.processes, processes=2)


def run(settings: Settings) -> None:
    """Measures every encoder, prints a table and writes the output files."""
    events = tx.data.read_events(generated() if settings.data == "generated" else settings.data)
    train = tx.data.leave_last_out(events.take(events.codes("user") < settings.users))[0]
    rows: list[Row] = []
    for name in settings.encoders:
        dim, length = SHAPES[name]
        case = f"{name}, width {dim}, length {length}, batch {settings.batch}"
        rows += rows_of(case, measure(settings, train, name))
    print(
        f"processor time a rank, medians of {settings.rounds} rounds\n{table_of(rows)}\n{machine.summary()}"
    )
    save(settings, "ranks", rows)


def measure(settings: Settings, train: Dataset, name: str) -> dict[str, list[Turn]]:
    """Epochs on one process, and on the first of several; the others follow it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rank = partial(train_rank, settings, train, name, port)
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=rank, args=(place,)) for place in range(1, settings.processes)]
    for other in others:
        other.start()
    contenders: dict[str, Contender] = {
        ALONE: partial(train_alone, settings, train, name),
        f"{settings.processes} processes": lambda finished: rank(0, finished),
    }
    try:
        return in_turns(contenders, WARM_UP + settings.rounds)
    finally:
        for other in others:
            other.terminate()
            other.join()


def train_alone(settings: Settings, train: Dataset, name: str, finished: Finished) -> None:
    """Epochs of ``fit``."""
    dim, length = SHAPES[name]
    torch.manual_seed(0)
    encoder = tx.plugins.make("encoders", name, dim=dim)
    train_with_fit(settings, train, encoder, windows_of(train, length), length, finished)


def train_rank(
    settings: Settings, train: Dataset, name: str, port: int, rank: int, finished: Finished | None = None
) -> None:
    """The part of a rank in them; every rank but the first ends when that one is stopped."""
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "WORLD_SIZE": str(settings.processes), "LOCAL_WORLD_SIZE": str(settings.processes),
    }  # fmt: skip
    if finished is not None:
        return train_alone(settings, train, name, finished)
    with suppress(RuntimeError):  # the connection is lost
        train_alone(settings, train, name, lambda targets, **details: None)


def rows_of(case: str, turns: dict[str, list[Turn]]) -> list[Row]:
    """Milliseconds of a rank for a thousand targets of all ranks, and how many times less than alone."""
    timed = {
        name: [1e6 * turn.processor / turn.targets for turn in taken[WARM_UP:]]
        for name, taken in turns.items()
    }
    rows = [Row(case, ALONE, METRIC, quartiles(timed[ALONE])[1])]
    for name in turns.keys() - {ALONE}:
        found = quartiles(timed[name])[1]
        rows.append(compared(case, name, METRIC, found, ALONE, timed[name], timed[ALONE]))
    return rows


if __name__ == "__main__":
    main()
