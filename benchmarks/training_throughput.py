"""Times epochs of training: fit(), plain torch loops, and RecTools and RecBole where they are installed.

python benchmarks/training_throughput.py --output training_throughput.json --plot training_throughput.png
python benchmarks/training_throughput.py --quick

Each runs in a process of its own and learns the same windows of events. benchmarks/peers/requirements.txt
installs RecTools and RecBole.
"""

import itertools
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import machine
import numpy as np
import pandas as pd
import torch
from command import Common, check_common, run_command
from interleaved import compared, quartiles
from peers.encoders import PEERS
from peers.plain_loop import PlainLoop
from peers.recbole_sasrec import RecBoleSASRec
from peers.rectools_sasrec import RecToolsSASRec
from record import Row, save
from step_shares import StepShares
from tables import table_of
from torch import Tensor
from turns import Contender, Finished, Turn, in_turns

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


@dataclass(frozen=True)
class Settings(Common):
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
    events = tx.data.read_events(generated() if settings.data == "generated" else settings.data)
    # before the split, so that the catalogue of every contender has the items of these users
    train = tx.data.leave_last_out(events.take(events.codes("user") < settings.users))[0]
    rows: list[Row] = []
    for name in settings.encoders:
        turns = in_turns(contenders(settings, train, name), WARM_UP + settings.rounds)
        dim, length = SHAPES[name]
        rows += rows_of(f"{name}, width {dim}, length {length}, batch {settings.batch}", turns)
    print(f"processor time, medians of {settings.rounds} rounds\n{table_of(rows)}\n")
    for package in ("rectools", "recbole"):
        if find_spec(package) is None:
            print(f"{package} is not installed; benchmarks/peers/requirements.txt says how to install it")
    print(machine.summary())
    packages = ("rectools", "recbole", "pytorch-lightning", "numpy", "pandas")
    save(settings, "training_throughput", rows, packages=packages)


def contenders(settings: Settings, train: Dataset, name: str) -> dict[str, Contender]:
    """``fit`` and what it is compared with, by name."""
    (dim, length), batch = SHAPES[name], settings.batch
    windows, rows = windows_of(train, length), len(train.preparation.vocabularies["item"])

    def encoder() -> Any:
        torch.manual_seed(0)
        return tx.plugins.make("encoders", name, dim=dim)

    def fit(finished: Finished) -> None:
        train_with_fit(settings, train, encoder(), windows, length, finished)

    def loop(finished: Finished) -> None:
        repeat(PlainLoop(rows, dim, PEERS[name][1](encoder()), windows, batch), finished)

    def loop_with_our_encoder(finished: Finished) -> None:
        repeat(PlainLoop(rows, dim, encoder(), windows, batch), finished)

    def rectools(finished: Finished) -> None:
        repeat(RecToolsSASRec(windows, batch, length, encoder()), finished)

    def recbole(finished: Finished) -> None:
        # as many targets in a step as the others have at most
        repeat(RecBoleSASRec(windows, batch * length, length, encoder(), RECBOLE_STEPS), finished)

    found: dict[str, Contender] = {
        "fit": fit, "plain loop": loop, "plain loop, our encoder": loop_with_our_encoder,
    }  # fmt: skip
    if name == "sasrec" and find_spec("rectools"):
        found["RecTools"] = rectools
    if name == "sasrec" and find_spec("recbole"):
        found["RecBole"] = recbole
    return found


def repeat(contender: PlainLoop | RecToolsSASRec | RecBoleSASRec, finished: Finished) -> None:
    """Epoch after epoch."""
    while True:
        finished(contender.epoch())


def train_with_fit(
    settings: Settings, train: Dataset, encoder: Any, windows: list[Tensor], length: int, finished: Finished
) -> None:
    """Epochs of ``fit``; the details of the first are the shares of a step."""
    model = tx.models.TwoTower(train.schema, encoder.dim, encoder, max_length=length)
    targets, steps = sum(len(window) - 1 for window in windows), -(-len(windows) // settings.batch)
    profiler, shares, last_profiled = StepShares(), dict[str, float](), min(PROFILED[1], steps - 1)

    def after_step(step: int, loss: float) -> None:
        if step == PROFILED[0] < last_profiled:
            profiler.start()
        if step == last_profiled > PROFILED[0]:
            shares.update(profiler.stop())
        if (step + 1) % steps == 0:
            finished(targets, **shares)

    tx.training.fit(
        model, train, epochs=WARM_UP + settings.rounds,
        loss=SoftmaxCrossEntropy("catalogue"), optimization=Optimization(global_batch_size=settings.batch),
        progress=False, on_step=after_step,
    )  # fmt: skip


def windows_of(train: Dataset, length: int) -> list[Tensor]:
    """Item rows of windows: ``length`` events and the one after them; the first of a user may be shorter."""
    items, offsets = torch.from_numpy(train.events.items.astype(np.int64)), train.events.offsets.tolist()
    return [
        items[max(first, end - length - 1) : end]
        for first, last in itertools.pairwise(offsets)
        for end in range(last, first + 1, -length)
    ]


def rows_of(case: str, turns: dict[str, list[Turn]]) -> list[Row]:
    """The figures of one encoder: speeds, that of ``fit`` relative to the others, shares of its steps."""
    timed = {contender: taken[WARM_UP:] for contender, taken in turns.items()}
    seconds = {name: [turn.processor / turn.targets for turn in taken] for name, taken in timed.items()}
    found = []
    for name in turns:
        if name != "fit":
            speed = 1 / quartiles(seconds["fit"])[1]
            found.append(compared(case, "fit", "targets/s", speed, name, seconds["fit"], seconds[name]))
    for name, taken in timed.items():
        wall = quartiles([turn.wall / turn.targets for turn in taken])[1]
        if name != "fit":
            found.append(Row(case, name, "targets/s", 1 / quartiles(seconds[name])[1]))
        found.append(Row(case, name, "targets/s by the clock", 1 / wall))
    shares = turns["fit"][0].details
    return found + [Row(case, f"fit: {part}", "share of a step", share) for part, share in shares.items()]


def generated() -> pd.DataFrame:
    """Events of 500 users as long and of items as popular as those of ml-1m."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(20 + rng.lognormal(4.3, 1.1, 500).astype(int), 2000)
    items = np.minimum(rng.zipf(1.2, lengths.sum()), 3706)
    users = np.repeat(np.arange(500), lengths)
    return pd.DataFrame({"user": users, "item": items, "timestamp": np.arange(len(users))})


if __name__ == "__main__":
    main()
