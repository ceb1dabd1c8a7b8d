"""Times epochs of training: fit(), plain torch loops, and RecTools and RecBole where they are installed.

python benchmarks/training_throughput.py --output training_throughput.json
python benchmarks/training_throughput.py --quick

All learn the same windows of events; benchmarks/peers/requirements.txt installs RecTools and RecBole.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pandas as pd
import record
import torch
from command import check_common, run_command
from interleaved import quartiles
from peers.encoders import PEERS
from peers.plain_loop import PlainLoop
from peers.recbole_sasrec import RecBoleSASRec
from peers.rectools_sasrec import RecToolsSASRec
from step_shares import StepShares
from tables import aligned
from torch import Tensor, nn

import torchrec_ext as tx
from torchrec_ext.checks import expect_one_of
from torchrec_ext.data import Dataset
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.training import Optimization

SHAPES = {"sasrec": (64, 50), "gru": (128, 200)}
"""Encoder -> width of the vectors and events of a window."""
WARM_UP = 1
"""Epochs of every contender before the first one that is timed."""
RECBOLE_STEPS = 2
"""Steps of an epoch of RecBole, of which a whole epoch would take minutes."""
PROFILED = (7, 39)
"""The steps of the warm-up epoch after which profiling begins and ends; losses are read every 8 steps."""
Epoch = Callable[[], int]
"""Learns some windows and returns the number of their targets."""
Speed = tuple[float, float]
"""Targets per second of the processor and of the clock."""


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    data: str = "ml-1m"
    """Name of a data set, or "generated": the lengths and popularity of ml-1m without a download."""
    users: int = 1500
    """Users whose events are learnt."""
    encoders: tuple[str, ...] = ("sasrec", "gru")
    """Encoders of the history: sasrec is 64 wide and reads 50 events, gru 128 and 200."""
    batch: int = 32
    """Windows of a step."""
    rounds: int = 5
    """Timed epochs of each contender."""
    threads: int = 1
    """Threads of torch."""
    quick: bool = False
    """Few users, two rounds, generated data: less than a minute."""
    output: Path | None = None
    """JSON file to write."""


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, {"data": "generated", "users": 150, "rounds": 2})


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    check_common(settings, users=1, batch=1, rounds=1, threads=1)
    for name in settings.encoders:
        expect_one_of("encoders", name, tuple(SHAPES))


def run(settings: Settings) -> None:
    """Measures every encoder, prints a table of each and writes the output file."""
    events = tx.data.read_events(_generated() if settings.data == "generated" else settings.data)
    train = tx.data.leave_last_out(events)[0]
    train = replace(train, rows=train.rows[: train.events.offsets[settings.users]], part_log=None)
    rows: list[record.Row] = []
    for name in settings.encoders:
        speeds, shares = measure(settings, train, name)
        dim, length = SHAPES[name]
        case = f"{name}, width {dim}, length {length}, batch {settings.batch}"
        rows += rows_of(case, speeds, shares)
        print(table(case, speeds, shares) + "\n", flush=True)
    for package in ("rectools", "recbole"):
        if find_spec(package) is None:
            print(f"{package} is not installed; benchmarks/peers/requirements.txt says how to install it")
    print(machine.summary())
    if settings.output is not None:
        record.write(
            settings.output, "training_throughput", rows, settings=settings,
            packages=("rectools", "recbole", "pytorch-lightning", "numpy", "pandas"),
        )  # fmt: skip


def measure(settings: Settings, train: Dataset, name: str) -> tuple[dict[str, list[Speed]], dict[str, float]]:
    """Epochs of ``fit`` and of the others in turn: speeds of each, and the shares of a step of ``fit``."""
    dim, length = SHAPES[name]
    windows = windows_of(train, length)
    torch.manual_seed(0)
    encoder = tx.plugins.make("encoders", name, dim=dim)
    model = tx.models.TwoTower(train.schema, dim, encoder, max_length=length)
    others = contenders(settings, train, name, windows)
    taken: dict[str, list[Speed]] = {"fit": [], **{other: [] for other in others}}
    targets, steps = sum(len(window) - 1 for window in windows), -(-len(windows) // settings.batch)
    profiler, shares, last_profiled = StepShares(), dict[str, float](), min(PROFILED[1], steps - 1)
    began = _now()

    def after_step(step: int, loss: float) -> None:
        # The others run inside the last step of an epoch, so that slow periods affect all alike.
        nonlocal began
        if step == PROFILED[0] < last_profiled:
            profiler.start()
        if step == last_profiled > PROFILED[0]:
            shares.update(profiler.stop())
        if (step + 1) % steps == 0:
            taken["fit"].append(_speed(targets, began))
            for other, epoch in others.items():
                began = _now()
                taken[other].append(_speed(epoch(), began))
            began = _now()

    tx.training.fit(
        model, train, epochs=WARM_UP + settings.rounds,
        loss=SoftmaxCrossEntropy("catalogue"), optimization=Optimization(global_batch_size=settings.batch),
        progress=False, on_step=after_step,
    )  # fmt: skip
    return {contender: speeds[WARM_UP:] for contender, speeds in taken.items()}, shares


def contenders(settings: Settings, train: Dataset, name: str, windows: list[Tensor]) -> dict[str, Epoch]:
    """What ``fit`` is compared with, by name."""
    (dim, length), batch = SHAPES[name], settings.batch
    rows = len(train.preparation.vocabularies["item"])

    def encoder() -> Any:
        return tx.plugins.make("encoders", name, dim=dim)

    def plain(module: nn.Module) -> Epoch:
        return PlainLoop(rows, dim, module, windows, batch).epoch

    found = {"plain loop": plain(PEERS[name][1](encoder())), "plain loop, our encoder": plain(encoder())}
    if name == "sasrec" and find_spec("rectools"):
        found["RecTools"] = RecToolsSASRec(windows, batch, length, encoder()).epoch
    if name == "sasrec" and find_spec("recbole"):
        # as many targets in a step as the others have at most
        found["RecBole"] = RecBoleSASRec(windows, batch * length, length, encoder(), RECBOLE_STEPS).epoch
    return found


def windows_of(train: Dataset, length: int) -> list[Tensor]:
    """Item rows of windows: ``length`` events and the one after them; the first of a user may be shorter."""
    items, offsets = torch.from_numpy(train.events.items.astype(np.int64)), train.events.offsets.tolist()
    return [
        items[max(first, end - length - 1) : end]
        for first, last in itertools.pairwise(offsets)
        for end in range(last, first + 1, -length)
    ]


def rows_of(case: str, speeds: dict[str, list[Speed]], shares: dict[str, float]) -> list[record.Row]:
    """The figures of one encoder."""
    found = [
        record.Row(case, contender, f"targets/s, {clock}", quartiles([speed[which] for speed in taken])[1])
        for contender, taken in speeds.items()
        for which, clock in enumerate(("processor", "wall"))
    ]
    for other in list(speeds)[1:]:
        ratio = ratios(speeds, other)[1]
        found.append(record.Row(case, "fit", "times the targets/s", ratio, other, ratio))
    return found + [record.Row(case, "fit", f"share of {part}", share) for part, share in shares.items()]


def table(case: str, speeds: dict[str, list[Speed]], shares: dict[str, float]) -> str:
    """The speeds of one encoder as a table, and the shares as a sentence."""
    lines: list[str | list[str]] = [
        f"{case}: medians of {len(speeds['fit'])} rounds, processor time",
        ["", "targets/s", "wall", "fit / this", "quartiles"],
    ]
    for contender, taken in speeds.items():
        low, middle, high = ratios(speeds, contender)
        speed, wall = (quartiles([pair[which] for pair in taken])[1] for which in (0, 1))
        lines.append(
            [contender, f"{speed:,.0f}", f"{wall:,.0f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}"]
        )
    parts = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
    return aligned(lines) + (f"\na step of fit: {parts}" if shares else "")


def ratios(speeds: dict[str, list[Speed]], other: str) -> tuple[float, float, float]:
    """Quartiles of the speed of ``fit`` over that of another, by the processor, within a round."""
    return quartiles([ours[0] / theirs[0] for ours, theirs in zip(speeds["fit"], speeds[other], strict=True)])


def _now() -> tuple[float, float]:
    """Seconds of the processor, in all threads of this process, and of the clock."""
    return time.process_time(), time.perf_counter()


def _speed(targets: int, began: tuple[float, float]) -> Speed:
    now = _now()
    return targets / (now[0] - began[0]), targets / (now[1] - began[1])


def _generated() -> pd.DataFrame:
    """Events of 500 users as long and of items as popular as those of ml-1m."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(20 + rng.lognormal(4.3, 1.1, 500).astype(int), 2000)
    items = np.minimum(rng.zipf(1.2, lengths.sum()), 3706)
    users = np.repeat(np.arange(500), lengths)
    return pd.DataFrame({"user": users, "item": items, "timestamp": np.arange(len(users))})


if __name__ == "__main__":
    main()
