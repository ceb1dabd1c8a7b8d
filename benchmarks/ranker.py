"""Times the training of a ranker against the same ranker on one packed torch table.

python benchmarks/ranker.py
python benchmarks/ranker.py --first-order --output ranker.json
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import id_batches
import interleaved
import torch
from command import Common, check_common, run_command
from interleaved import compared
from record import Row, save
from tables import table_of
from torch import Tensor
from torch.nn import functional
from torchrec import KeyedJaggedTensor
from torchrec.streamable import Pipelineable

from torchrec_ext.batch import Batch
from torchrec_ext.distributed import join_group, quiet_libraries, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.models import Ranker, task_for
from torchrec_ext.schema import Feature, Schema, Table
from torchrec_ext.training.optimizers import make_optimizer
from torchrec_ext.training.pipeline import make_pipeline

LEARNING_RATE, TABLE_LEARNING_RATE, EPSILON = 1e-3, 0.1, 1e-8


@dataclass(frozen=True)
class Settings(Common):
    """Times training steps of a ranker with one id a field, in interleaved rounds, in one process.

    Ours goes through ``shard`` and the pipeline of ``fit``. The peer looks all fields up in one packed torch
    tensor, has the same layers above, AdamW for them, and updates the rows that it looked up by row-wise
    Adagrad. The losses of both are compared before the timing starts.
    """

    tables: int = 26
    """Fields, each with a table of its own."""
    rows: int = 50_000
    """Rows per table."""
    width: int = 16
    """Width of the vectors."""
    batch: int = 512
    """Examples per step."""
    zipf: float = 0.0
    """0: uniform ids; otherwise their exponent, see embedding_throughput.py."""
    first_order: bool = False
    """Whether a linear term of the ids, in tables of its own, is added, as is the default of Ranker."""
    rounds: int = 15
    """Timed blocks of each."""
    block_seconds: float = 0.3
    """Approximate length of a block."""
    clock: interleaved.Clock = "processor"
    """processor: time of all threads of the process, steadier where others use the machine; or wall."""


class PackedRanker:
    """The layers of a ranker above one torch tensor of all its tables, with row-wise Adagrad by hand."""

    def __init__(self, ranker: Ranker, tables: list[Tensor], weights: list[Tensor]) -> None:
        self.arch, self.rows = ranker.arch, len(tables[0])
        self.packed = [torch.cat(parts).requires_grad_() for parts in (tables, weights) if parts]
        self.states = [torch.zeros(len(table)) for table in self.packed]
        self.adam = torch.optim.AdamW(self.arch.parameters(), lr=LEARNING_RATE, weight_decay=0.0)

    def step(self, rows_BF: Tensor, batch: Batch) -> Tensor:
        """A training step; returns the loss."""
        assert batch.labels is not None
        self.adam.zero_grad()
        found = [functional.embedding(rows_BF, table.detach()).requires_grad_() for table in self.packed]
        first_order_BT = found[1][..., :1].sum(1) if len(found) > 1 else None
        logits = self.arch(found[0], {}, first_order_BT, batch)
        loss = functional.binary_cross_entropy_with_logits(logits, batch.labels)
        loss.backward()
        self.adam.step()
        with torch.no_grad():
            rows, inverse = rows_BF.flatten().unique(return_inverse=True)
            for table, state, vectors in zip(self.packed, self.states, found, strict=True):
                assert vectors.grad is not None
                summed = table.new_zeros(len(rows), table.shape[1])
                summed.index_add_(0, inverse, vectors.grad.flatten(0, 1))
                new_state = state[rows] + summed.square().mean(1)
                state[rows] = new_state
                rate = TABLE_LEARNING_RATE / (new_state.sqrt() + EPSILON)
                table.index_add_(0, rows, summed * -rate[:, None])
        return loss.detach()


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    warnings.simplefilter("ignore", FutureWarning)
    run_command(Settings, check, run, {"rounds": 3, "block_seconds": 0.1})


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    check_common(settings, tables=1, rows=1, width=1, batch=1, rounds=1)


def run(settings: Settings) -> None:
    """Compares the losses, measures both, prints a table and writes the files."""
    Pipelineable.register(Batch)
    join_group()
    steps = build(settings)
    for number in range(8):
        ours, packed = (step(number) for step in steps.values())
        if not torch.allclose(ours, packed, atol=1e-5):
            raise AssertionError(f"step {number}: loss {ours:.7f} of ours, {packed:.7f} of the packed torch")
    timings = interleaved.measure(
        steps,
        rounds=settings.rounds,
        warmup=1,
        block_seconds=settings.block_seconds,
        synchronise=lambda: None,
        clock=settings.clock,
    )
    ids = f"Zipf {settings.zipf:g}" if settings.zipf else "uniform ids"
    case = f"{settings.tables} tables x {settings.rows:,} x {settings.width}, batch {settings.batch}, {ids}"
    case += ", linear term" * settings.first_order
    times = {name: timing.rounds for name, timing in timings.items()}
    speeds = {name: settings.batch / timing.quartiles[1] for name, timing in timings.items()}
    rows = [
        compared(
            case, "ours", "examples/s", speeds["ours"], "packed torch", times["ours"], times["packed torch"]
        ),
        Row(case, "packed torch", "examples/s", speeds["packed torch"]),
    ]
    print(table_of(rows))
    save(settings, "ranker", rows)


def build(settings: Settings) -> dict[str, Callable[[int], Tensor]]:
    """A training step of each, with the same weights, which takes its number and returns the loss."""
    names = [f"field_{number}" for number in range(settings.tables)]
    schema = Schema(
        (Table("user", 2), Table("item", 2), *(Table(name, settings.rows) for name in names)),
        tuple(Feature(name, name, "context", name) for name in names),
    )

    def ranker() -> Ranker:
        torch.manual_seed(0)
        return Ranker(schema, settings.width, fields=names, first_order=settings.first_order)

    model, peer = ranker(), ranker()
    dmp = shard(task_for(model), learning_rate=TABLE_LEARNING_RATE, batch_size=settings.batch)
    initialise_tables(model, seed=0)
    optimizer = make_optimizer(dmp, LEARNING_RATE)
    dmp.train()
    group = join_group()
    with quiet_libraries():
        pipeline = make_pipeline(dmp, optimizer, group)
    tables = {
        key.split(".")[-2]: value.local_shards()[0].tensor.clone()
        for key, value in model.state_dict().items() if "embedding_bags" in key
    }  # fmt: skip
    weights = [tables[f"{name}_first_order"] for name in names] if settings.first_order else []
    packed = PackedRanker(peer, [tables[name] for name in names], weights)
    drawn = id_batches.make_batches(
        64, tables=settings.tables, rows=settings.rows, batch=settings.batch, pooling=1, zipf=settings.zipf
    )
    labels = torch.randint(2, (len(drawn), settings.batch, 1), generator=torch.Generator().manual_seed(0))
    packed_rows = [ids.gather_rows.view(settings.tables, -1).t().contiguous() for ids in drawn]

    def batch(number: int) -> Batch:
        place = number % len(drawn)
        ids = drawn[place]
        # a new KeyedJaggedTensor each step, as from a loader: an old one caches its offsets
        fields = KeyedJaggedTensor(names, ids.ids_TBP.flatten(), lengths=ids.lengths)
        return Batch(
            fields, fields, torch.zeros(settings.batch, 0), labels=labels[place].float(),
            total=torch.tensor(settings.batch, dtype=torch.float64),
        )  # fmt: skip

    def feed() -> Iterator[Batch]:
        number = 0
        while True:
            yield batch(number)
            number += 1

    batches = feed()
    return {
        "packed torch": lambda number: packed.step(packed_rows[number % len(drawn)], batch(number)),
        "ours": lambda number: pipeline.progress(batches)[0],
    }


if __name__ == "__main__":
    main()
