"""Times epochs of training: fit(), and plain torch loops over the same targets.

python benchmarks/training_throughput.py --output training_throughput.json
python benchmarks/training_throughput.py --quick
"""

import itertools
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pandas as pd
import torch
from command import run_command
from interleaved import quartiles
from peers.encoders import PEERS
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

import torchrec_ext as tx
from torchrec_ext.checks import expect_at_least, expect_one_of
from torchrec_ext.data import Dataset
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.training import Optimization

Record = dict[str, Any]
SHAPES = {"sasrec": (64, 50), "gru": (128, 200)}
"""Encoder -> width of the vectors and events of a window."""
WARM_UP = 1
"""Epochs of every contender before the first one that is timed."""


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
    expect_at_least(
        1, users=settings.users, batch=settings.batch, rounds=settings.rounds, threads=settings.threads
    )
    for name in settings.encoders:
        expect_one_of("encoders", name, tuple(SHAPES))


def run(settings: Settings) -> None:
    """Measures every encoder, prints a table of each and writes the output file."""
    events = tx.data.read_events(_generated() if settings.data == "generated" else settings.data)
    train = tx.data.leave_last_out(events)[0]
    train = replace(train, rows=train.rows[: train.events.offsets[settings.users]], part_log=None)
    found: list[Record] = []
    for name in settings.encoders:
        measured = measure(settings, train, name)
        found += measured
        print(table(measured), flush=True)
    if settings.output is not None:
        content = {
            "benchmark": "training_throughput",
            "machine": machine.describe(torch.device("cpu")),
            "versions": machine.versions(),
            "settings": asdict(settings),
            "results": found,
        }
        settings.output.write_text(json.dumps(content, indent=1, default=str) + "\n")


def measure(settings: Settings, train: Dataset, name: str) -> list[Record]:
    """Epochs of ``fit`` and of the loops in turn; of each the processor seconds."""
    dim, length = SHAPES[name]
    windows = windows_of(train, length)
    torch.manual_seed(0)
    encoder = tx.plugins.make("encoders", name, dim=dim)
    model = tx.models.TwoTower(train.schema, dim, encoder, max_length=length)
    rows = len(train.preparation.vocabularies["item"])
    loops = {
        "plain loop": PlainLoop(rows, dim, PEERS[name][1](encoder), windows, settings.batch),
        "plain loop, our encoder": PlainLoop(
            rows, dim, tx.plugins.make("encoders", name, dim=dim), windows, settings.batch
        ),
    }
    taken: dict[str, list[tuple[float, float]]] = {"fit": [], **{loop: [] for loop in loops}}
    steps = -(-len(windows) // settings.batch)
    began = _now()

    def after_step(step: int, loss: float) -> None:
        # The loops run inside the last step of an epoch, so that slow periods affect all alike.
        nonlocal began
        if (step + 1) % steps == 0:
            taken["fit"].append(_since(began))
            for loop in loops:
                began = _now()
                loops[loop].epoch()
                taken[loop].append(_since(began))
            began = _now()

    tx.training.fit(
        model, train, epochs=WARM_UP + settings.rounds,
        loss=SoftmaxCrossEntropy("catalogue"), optimization=Optimization(global_batch_size=settings.batch),
        progress=False, on_step=after_step,
    )  # fmt: skip
    targets = sum(len(window) - 1 for window in windows)
    return [_record(name, contender, targets, taken) for contender in taken]


class PlainLoop:
    """Training as many would write it: nn.Embedding, padded windows, the logits of all items, Adam.

    Args:
        rows: of the table; row 0 is padding.
        dim: D, width of the vectors.
        encoder: ``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, H)`` states.
        windows: item rows of each, of which the next one is predicted.
        batch: windows of a step.
    """

    def __init__(self, rows: int, dim: int, encoder: nn.Module, windows: list[Tensor], batch: int) -> None:
        self.table = nn.Embedding(rows, dim, padding_idx=0)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        self.encoder = encoder
        with torch.no_grad():
            width = encoder(torch.zeros(1, 2, dim), torch.tensor([2])).shape[2]
        self.project = nn.Identity() if width == dim else nn.Linear(width, dim)
        self.windows, self.batch = windows, batch
        self.parts = nn.ModuleList([self.table, self.encoder, self.project])
        self.optimizer = torch.optim.Adam(self.parts.parameters(), lr=1e-3)

    def epoch(self) -> None:
        """Every window once, in a random order."""
        for chosen in torch.randperm(len(self.windows)).split(self.batch):
            padded_BT = pad_sequence([self.windows[place] for place in chosen.tolist()], batch_first=True)
            inputs_BT, targets_BT = padded_BT[:, :-1], padded_BT[:, 1:]
            real_BT = targets_BT != 0
            states = self.encoder(self.table(inputs_BT), real_BT.sum(1))
            logits = self.project(states[real_BT]) @ self.table.weight.T
            loss = functional.cross_entropy(logits, targets_BT[real_BT])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def windows_of(train: Dataset, length: int) -> list[Tensor]:
    """Item rows of windows: ``length`` events and the one after them; the first of a user may be shorter."""
    items, offsets = torch.from_numpy(train.events.items.astype(np.int64)), train.events.offsets.tolist()
    return [
        items[max(first, end - length - 1) : end]
        for first, last in itertools.pairwise(offsets)
        for end in range(last, first + 1, -length)
    ]


def table(records: list[Record]) -> str:
    """The records of one encoder as a table."""
    first = records[0]
    lines = [f"{first['encoder']}: {first['targets']:,} targets an epoch, medians of processor time"]
    lines.append(f"{'':26}{'targets/s':>12}{'fit / this: median (quartiles)':>34}")
    for record in records:
        low, middle, high = record["fit_over_this"]
        ratio = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        lines.append(f"{record['contender']:26}{record['targets_per_second']:12,.0f}{ratio:>34}")
    return "\n".join(lines) + "\n"


def _record(
    encoder: str, contender: str, targets: int, taken: dict[str, list[tuple[float, float]]]
) -> Record:
    """Medians over the timed rounds, and the ratio of speeds within a round."""
    mine, ours = taken[contender][WARM_UP:], taken["fit"][WARM_UP:]
    ratios = [theirs[0] / fit[0] for theirs, fit in zip(mine, ours, strict=True)]
    return {
        "encoder": encoder,
        "contender": contender,
        "targets": targets,
        "targets_per_second": targets / quartiles([cpu for cpu, _ in mine])[1],
        "wall_targets_per_second": targets / quartiles([wall for _, wall in mine])[1],
        "fit_over_this": quartiles(ratios),
    }


def _now() -> tuple[float, float]:
    """Seconds of the processor, in all threads of this process, and of the clock."""
    return time.process_time(), time.perf_counter()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    now = _now()
    return now[0] - began[0], now[1] - began[1]


def _generated() -> pd.DataFrame:
    """Events of 500 users as long and of items as popular as those of ml-1m."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(20 + rng.lognormal(4.3, 1.1, 500).astype(int), 2000)
    items = np.minimum(rng.zipf(1.2, lengths.sum()), 3706)
    users = np.repeat(np.arange(500), lengths)
    return pd.DataFrame({"user": users, "item": items, "timestamp": np.arange(len(users))})


if __name__ == "__main__":
    main()
