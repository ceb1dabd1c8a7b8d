"""The settings of embedding_throughput.py, their cases and their checks."""

import itertools
import os
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import contenders
import interleaved
import torch
import torch.distributed as dist

from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Settings:
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
    contenders: tuple[
        Literal["embedding_bag", "unsharded_ebc", "table_wise", "row_wise", "column_wise", "data_parallel"],
        ...,
    ] = ("embedding_bag", "unsharded_ebc", "table_wise", "row_wise")
    """Ways to look up the tables; all are compared with the first."""
    optimizer: Literal["rowwise_adagrad", "adagrad", "sgd"] = "rowwise_adagrad"
    """Fused into the backward pass of sharded tables; elsewhere Adagrad replaces the row-wise one."""
    rounds: int = 7
    """Timed blocks per contender."""
    warmup: int = 1
    """Untimed blocks per contender before them."""
    block_seconds: float = 0.2
    """Approximate length of a block."""
    clock: interleaved.Clock = "wall"
    """processor: time of all threads of a process, steadier where others use the machine."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device of tables and ids."""
    threads: int | None = None
    """Threads per process; by default chosen by torch, or by torchrun (1)."""
    seed: int = 0
    """Seed of ids and weights."""
    output: Path | None = None
    """JSON file to write: machine, versions, settings, results."""
    plot: Path | None = None
    """PNG file to draw a bar chart in."""


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
    """Checks the settings before there is a process group; all ranks decide equally."""
    for name in ("tables", "rows", "width", "pooling", "batch", "zipf", "passes", "contenders"):
        if not getattr(settings, name):
            raise InputError(f"--{name} is empty: give at least one value")
    for name in ("tables", "rows", "width", "pooling", "batch"):
        for value in getattr(settings, name):
            if value < 1:
                raise InputError(f"--{name} contains {value}: give numbers of at least 1")
    for name, least in (("rounds", 1), ("warmup", 0), ("threads", 1)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise InputError(f"--{name} is {value}: give at least {least}")
    for exponent in settings.zipf:
        if not 0 <= exponent < 100:
            raise InputError(f"--zipf contains {exponent}: give 0 for uniform ids or a number such as 1.05")
    if not 0 < settings.block_seconds <= 60:
        raise InputError(f"--block-seconds is {settings.block_seconds}: give between 0 and 60 seconds")
    for name in ("passes", "contenders"):
        values = getattr(settings, name)
        if len(set(values)) < len(values):
            raise InputError(f"--{name} contains a name twice: {' '.join(values)}")
    check_width(settings)
    local_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if settings.device == "cuda" and torch.cuda.device_count() < local_ranks:
        raise InputError(
            f"--device cuda needs a GPU for each of {local_ranks} local ranks, torch sees "
            f"{torch.cuda.device_count()}: start fewer processes or give --device cpu"
        )
    for name in ("output", "plot"):
        path = getattr(settings, name)
        if path is None:
            continue
        folder = path.absolute().parent
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise InputError(f"--{name} {path}: give a file in a folder that exists and can be written to")
    if settings.plot is not None and find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib: install it or leave out --plot")


def check_width(settings: Settings) -> None:
    """Refuses widths that the kernels of a sharded collection do not support."""
    if not set(settings.contenders) & set(contenders.SHARDINGS):
        return
    ranks = int(os.environ.get("WORLD_SIZE", 1)) if "column_wise" in settings.contenders else 1
    unit = 4 * ranks
    for width in settings.width:
        if width % unit:
            over = f" for each of {ranks} ranks" if ranks > 1 else ""
            raise InputError(
                f"--width contains {width}: the fused kernels need a multiple of 4{over}, "
                f"give {-(-width // unit) * unit}"
            )


def check_memory(settings: Settings) -> None:
    """Refuses the first case whose contenders do not fit into memory together; every rank must call it."""
    if settings.device == "cuda":
        free = torch.tensor(torch.cuda.mem_get_info(int(os.environ.get("LOCAL_RANK", 0)))[0])
    else:
        free = torch.tensor(available_memory() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    dist.all_reduce(free, dist.ReduceOp.MIN)
    for case in cases(settings):
        needed = contenders.memory_needed(
            settings.contenders,
            tables=case.tables,
            rows=case.rows,
            width=case.width,
            lookups=case.lookups,
            batches=case.batches,
            optimizer=settings.optimizer,
            learns="update" in settings.passes,
            world_size=dist.get_world_size(),
        )
        if needed > 0.9 * int(free):
            raise InputError(
                f"{case} needs {needed / 1e9:.1f} GB per rank, {int(free) / 1e9:.1f} GB are free: "
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
