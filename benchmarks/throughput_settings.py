"""The settings of embedding_throughput.py, their cases and their checks."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import interleaved
import torch
import torch.distributed as dist
from command import Common, check_common
from contenders import PRECISIONS, SHARDINGS, Name, copies

from torchrec_ext.errors import InputError

Precision = Literal["fp32", "fp16", "int8", "int4"]
Optimizer = Literal["rowwise_adagrad", "adagrad", "sgd"]
Stage = tuple[str, Optimizer]
"""forward or update, and the optimizer of an update."""


@dataclass(frozen=True)
class Settings(Common):
    """Times lookups in embedding tables, and their training, in interleaved rounds.

    Every combination of the listed sizes is a case. It runs in one process with python, in several with
    torchrun; each rank looks up a separate batch, rank 0 prints. See benchmarks/README.md for the meaning
    of each number.
    """

    tables: tuple[int, ...] = (4,)
    """Number of tables; each has one feature."""
    rows: tuple[int, ...] = (200_000,)
    """Rows per table."""
    width: tuple[int, ...] = (64,)
    """Width of a row, a multiple of 4."""
    pooling: tuple[int, ...] = (1, 20)
    """Ids per bag, which are summed."""
    batch: tuple[int, ...] = (1024,)
    """Bags per table, rank and step."""
    zipf: tuple[float, ...] = (0.0,)
    """0: uniform ids. Otherwise an exponent such as 1.05: the probability of the k-th most frequent row is
    proportional to k ** -zipf."""
    passes: tuple[Literal["forward", "update"], ...] = ("forward", "update")
    """forward without gradients; update: forward, backward and the optimizer's step."""
    contenders: tuple[Name, ...] = (
        "embedding_bag", "unsharded_ebc", "table_wise", "row_wise", "quantised",
    )  # fmt: skip
    """Ways to look up the tables; their first results must agree."""
    precision: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int4")
    """Of the stored rows, for the contenders that have it: quantised has all, fused ones fp32 and fp16."""
    optimizer: tuple[Optimizer, ...] = ("rowwise_adagrad",)
    """Fused into the backward pass of sharded tables; elsewhere Adagrad replaces the row-wise one."""
    rounds: int = 7
    """Timed blocks per contender."""
    warmup: int = 1
    """Untimed blocks per contender before them."""
    block_seconds: float = 0.2
    """Approximate length of a block."""
    clock: interleaved.Clock = "processor"
    """processor: time of all threads of a process, steadier where others use the machine; without waiting
    for other ranks. A GPU is timed by the wall."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device of tables and ids."""
    huge_limit: bool = False
    """The tables of the limit too in pages of 2 MB, in which shard() holds large ones if it is alone."""
    threads: int = 1
    """Threads per process."""
    seed: int = 0
    """Seed of ids and weights."""

    def stages(self) -> list[Stage]:
        """The lookup, and the update by each optimizer."""
        updates: list[Stage] = [("update", optimizer) for optimizer in self.optimizer]
        forward: list[Stage] = [("forward", self.optimizer[0])]
        return [stage for stage in forward + updates if stage[0] in self.passes]

    def entrants(self, stage: str) -> Iterator[tuple[Name, Precision]]:
        """Contenders and precisions that take part in a pass."""
        for precision, name in itertools.product(self.precision, self.contenders):
            if precision in PRECISIONS[name] and (stage, name) != ("update", "quantised"):
                yield name, precision


QUICK = {"rows": (50_000,), "batch": (2048,), "rounds": 3, "block_seconds": 0.05}


@dataclass(frozen=True)
class Case:
    """One combination of the listed sizes, named as in ``Settings``."""

    tables: int
    rows: int
    width: int
    pooling: int
    batch: int
    zipf: float

    @property
    def lookups(self) -> int:
        """Row lookups per rank and step."""
        return self.tables * self.batch * self.pooling

    @property
    def batches(self) -> int:
        """Enough batches to look up as many rows as exist, so that few are in the cache already."""
        return max(4, min(256, -(-self.tables * self.rows // self.lookups)))

    def __str__(self) -> str:
        ids = f"Zipf {self.zipf:g}" if self.zipf else "uniform"
        return (
            f"{self.tables} tables x {self.rows:,} rows x {self.width} wide, pooling {self.pooling}, "
            f"batch {self.batch:,} per rank, {ids} ids"
        )


def cases(settings: Settings) -> list[Case]:
    """All combinations of the listed sizes."""
    names = [field.name for field in fields(Case)]
    return [Case(*sizes) for sizes in itertools.product(*(getattr(settings, name) for name in names))]


def check(settings: Settings) -> None:
    """Refuses what cannot be measured; all ranks decide equally."""
    sizes = [field.name for field in fields(Case)]
    for name in (*sizes, "passes", "contenders", "precision", "optimizer"):
        values = getattr(settings, name)
        if not values or len(set(values)) < len(values):
            listed = " ".join(map(str, values)) or "empty"
            raise InputError(f"--{name} is {listed}: give at least one value and none of them twice")
    check_common(settings, tables=1, rows=1, width=1, pooling=1, batch=1, rounds=1, warmup=0, threads=1)
    for exponent in settings.zipf:
        if not 0 <= exponent < 100:
            raise InputError(f"--zipf contains {exponent}: give 0 for uniform ids or a number such as 1.05")
    for stage, _ in settings.stages():
        if not any(settings.entrants(stage)):
            names = " ".join(settings.contenders)
            raise InputError(
                f"--contenders {names} in --precision {' '.join(settings.precision)} have no {stage}: "
                "add table_wise and fp32, or measure other --passes"
            )
    ranks = int(os.environ.get("WORLD_SIZE", 1)) if "column_wise" in settings.contenders else 1
    for width in settings.width if set(settings.contenders) & set(SHARDINGS) else ():
        if width % (4 * ranks):
            over = f" for each of {ranks} ranks" if ranks > 1 else ""
            raise InputError(
                f"--width contains {width}: the fused kernels need a multiple of 4{over}, "
                f"give {-(-width // (4 * ranks)) * 4 * ranks}"
            )


def check_memory(settings: Settings) -> None:
    """Refuses the first case whose contenders would not fit into memory; every rank must call it."""
    if settings.device == "cuda":
        free = torch.tensor(torch.cuda.mem_get_info(int(os.environ.get("LOCAL_RANK", 0)))[0])
    else:
        free = torch.tensor(available_memory() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    dist.all_reduce(free, dist.ReduceOp.MIN)
    entrants = list(settings.entrants("forward"))
    whole = 1 + sum(copies(name, dist.get_world_size()) for name, _ in entrants)
    for case in cases(settings):
        needed = whole * case.tables * case.rows * case.width * 4
        if needed > 0.9 * int(free):
            raise InputError(
                f"{case} needs up to {needed / 1e9:.1f} GB per rank, {int(free) / 1e9:.1f} GB are free: "
                "give fewer --rows, --tables or --contenders"
            )


def available_memory() -> int:
    """Bytes that are free on this machine, or in the control group of the process."""
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(meminfo["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free
