"""Times a step of sampled softmax as the batch grows, with and without the cap of in-batch candidates.

python benchmarks/batch_scaling.py --output batch_scaling.json --plot batch_scaling.png
python benchmarks/batch_scaling.py --quick
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import machine
import numpy as np
import pandas as pd
import torch
from command import Common, check_common, run_command
from interleaved import compared, quartiles
from record import Row, save
from tables import table_of

import torchrec_ext as tx
from torchrec_ext.checks import expect_at_least
from torchrec_ext.data import Dataset
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.models import RetrievalTask
from torchrec_ext.training.optimizers import make_optimizer

CAPPED, ALL = "capped (default)", "all targets"
CONTENDERS = {CAPPED: 2048, ALL: 2**40}
"""Name -> targets of a batch that compete with every other."""


@dataclass(frozen=True)
class Settings(Common):
    """What is measured."""

    batch: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Windows of a step."""
    items: int = 100_000
    """Items that events are drawn from."""
    length: int = 50
    """Events of a window."""
    dim: int = 64
    """Width of the vectors."""
    encoder: str = "sasrec"
    """Encoder of the history."""
    rounds: int = 5
    """Timed steps of each contender and batch."""


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, {"batch": (32, 64, 128), "items": 10_000, "rounds": 2})


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    check_common(settings, rounds=1, length=1, dim=1)
    expect_at_least(2, items=settings.items, batches=len(set(settings.batch)), batch=min(settings.batch))


def run(settings: Settings) -> None:
    """Measures steps in interleaved rounds, prints a table and writes the output file."""
    train = generated(settings)
    join_group()
    steps = {
        (name, batch): step_of(settings, train, batch, in_batch)
        for name, in_batch in CONTENDERS.items()
        for batch in settings.batch
    }
    taken: dict[tuple[str, int], list[float]] = {key: [] for key in steps}
    for step in steps.values():
        step()
    for _ in range(settings.rounds):
        for key, step in steps.items():
            began = time.process_time()
            step()
            taken[key].append(time.process_time() - began)
    rows: list[Row] = []
    for batch in settings.batch:
        ms = {name: [1000 * seconds for seconds in taken[name, batch]] for name in CONTENDERS}
        capped, every = (quartiles(ms[name])[1] for name in (CAPPED, ALL))
        case = f"{settings.items:,} items, batch {batch}"
        rows.append(compared(case, CAPPED, "ms/step", capped, ALL, ms[CAPPED], ms[ALL]))
        rows.append(Row(case, ALL, "ms/step", every))
    for name in CONTENDERS:
        medians = [quartiles(taken[name, batch])[1] for batch in settings.batch]
        exponent = float(np.polyfit(np.log(settings.batch), np.log(medians), 1)[0])
        rows.append(Row(f"{settings.items:,} items", name, "exponent", exponent))
    print(f"processor time\n{table_of(rows)}\n\n{machine.summary()}")
    save(settings, "batch_scaling", rows)


def step_of(settings: Settings, train: Dataset, batch: int, in_batch: int) -> Callable[[], None]:
    """A training step of sampled softmax on the next batch."""
    torch.manual_seed(0)
    model = tx.models.TwoTower(train.schema, settings.dim, settings.encoder, max_length=settings.length)
    dmp = shard(RetrievalTask(model), learning_rate=0.1)
    initialise_tables(model, 0)
    optimizer = make_optimizer(dmp, 1e-3)
    examples = NextEvents(train, model.inputs, Candidates.of(train, "sampled", 512, in_batch))
    batches = (found for epoch in range(10**6) for found in Loader(examples, batch).epoch(epoch))

    def step() -> None:
        optimizer.zero_grad()
        dmp(next(batches))[0].backward()
        optimizer.step()

    return step


def generated(settings: Settings) -> Dataset:
    """Eight times the largest batch of full windows, of items whose popularity falls as 1 / rank."""
    rng = np.random.default_rng(0)
    users, length = 8 * max(settings.batch), settings.length + 3  # two events are for validation and test
    items = np.exp(rng.uniform(0, np.log(settings.items + 1), users * length)).astype(int)
    frame = pd.DataFrame(
        {"user": np.repeat(np.arange(users), length), "item": items, "timestamp": np.arange(len(items))}
    )
    return tx.data.leave_last_out(tx.data.read_events(frame))[0]


if __name__ == "__main__":
    main()
