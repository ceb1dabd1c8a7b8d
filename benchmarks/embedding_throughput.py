"""How fast embedding tables are looked up and trained, beside nn.EmbeddingBag and a plain gather.

python benchmarks/embedding_throughput.py
torchrun --nproc-per-node 2 benchmarks/embedding_throughput.py --output throughput.json
"""

import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import contenders
import id_batches
import interleaved
import throughput_report as report
import torch
import torch.distributed as dist
import tyro

from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Times lookups in embedding tables, and their training, in interleaved rounds.

    Every combination of the listed sizes is a case. Runs in one process with python, in several with
    torchrun; each rank looks up a batch of its own, rank 0 prints. See benchmarks/README.md for what
    each number means.
    """

    tables: tuple[int, ...] = (4,)
    """Number of tables; each has one feature."""
    rows: tuple[int, ...] = (200_000,)
    """Rows of a table."""
    width: tuple[int, ...] = (64,)
    """Width of a row, a multiple of 4."""
    pooling: tuple[int, ...] = (1, 20)
    """Ids a bag, summed."""
    batch: tuple[int, ...] = (1024,)
    """Bags a table, a rank and a step."""
    zipf: tuple[float, ...] = (0.0,)
    """0: uniform ids. Otherwise the k-th most frequent row has a chance of k ** -zipf, say 1.05."""
    passes: tuple[Literal["forward", "update"], ...] = ("forward", "update")
    """forward without gradients; update: forward, backward and the optimizer's step."""
    contenders: tuple[
        Literal["embedding_bag", "unsharded_ebc", "table_wise", "row_wise", "column_wise", "data_parallel"], ...
    ] = ("embedding_bag", "unsharded_ebc", "table_wise", "row_wise")
    """What is measured; the others are compared with the first."""
    optimizer: Literal["rowwise_adagrad", "adagrad", "sgd"] = "rowwise_adagrad"
    """Fused into the backward pass of sharded tables; torch's Adagrad stands in for the row-wise one elsewhere."""
    rounds: int = 7
    """Timed blocks of each contender."""
    warmup: int = 1
    """Untimed blocks of each contender before them."""
    block_seconds: float = 0.2
    """About how long a block lasts."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where tables and ids lie."""
    threads: int | None = None
    """Threads a process; torch's choice, or torchrun's (1), if not given."""
    seed: int = 0
    """Fixes ids and weights."""
    output: Path | None = None
    """JSON file to write: machine, versions, settings, results."""
    plot: Path | None = None
    """PNG file to draw a bar chart in."""


Case = dict[str, Any]


def main() -> None:
    """Reads the command line, measures, and reports from rank 0."""
    with process_group() as rank:
        try:
            settings = tyro.cli(Settings, console_outputs=rank == 0)
            check(settings)
            run(settings, rank)
        except (InputError, SystemExit) as refusal:
            if isinstance(refusal, InputError) and rank == 0:
                print(f"error: {refusal}", file=sys.stderr)
            dist.barrier()  # no rank leaves, and has the others stopped, before rank 0 has spoken
            raise SystemExit(2 if isinstance(refusal, InputError) else refusal.code) from None


@contextmanager
def process_group() -> Iterator[int]:
    """Torchrun's process group, or a group of one; gives this process's rank."""
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if "RANK" in os.environ:
        dist.init_process_group(backend, timeout=timedelta(minutes=10))
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def check(settings: Settings) -> None:
    """Refuses what cannot be measured, before anything is built; every rank comes to the same verdict."""
    for name in ("tables", "rows", "width", "pooling", "batch", "zipf", "passes", "contenders"):
        if not getattr(settings, name):
            raise InputError(f"--{name} is empty: give at least one value")
    for name in ("tables", "rows", "width", "pooling", "batch"):
        for value in getattr(settings, name):
            if value < 1:
                raise InputError(f"--{name} holds {value}: give numbers of at least 1")
    for name, least in (("rounds", 1), ("warmup", 0), ("threads", 1)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise InputError(f"--{name} is {value}: give at least {least}")
    for exponent in settings.zipf:
        if not 0 <= exponent < 100:
            raise InputError(f"--zipf holds {exponent}: give 0 for uniform ids or an exponent such as 1.05")
    if not 0 < settings.block_seconds <= 60:
        raise InputError(f"--block-seconds is {settings.block_seconds}: give between 0 and 60 seconds")
    for name in ("passes", "contenders"):
        values = getattr(settings, name)
        if len(set(values)) < len(values):
            raise InputError(f"--{name} names one twice: {' '.join(values)}")
    columns = dist.get_world_size() if "column_wise" in settings.contenders else 1
    for width in settings.width:
        if width % (4 * columns):
            over = f", times {columns} ranks for column_wise" if columns > 1 else ""
            best = -(-width // (4 * columns)) * 4 * columns
            raise InputError(
                f"--width holds {width}: the fused kernels want a multiple of 4{over}; the next one is {best}"
            )
    local_ranks = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if settings.device == "cuda" and torch.cuda.device_count() < local_ranks:
        raise InputError(
            f"--device cuda wants a GPU for each of {local_ranks} local ranks, torch sees "
            f"{torch.cuda.device_count()}: start fewer processes or give --device cpu"
        )
    for name in ("output", "plot"):
        path = getattr(settings, name)
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise InputError(f"--{name} {path}: give a file in a folder that exists")
    if settings.plot is not None and find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib: install it or leave --plot away")
    check_memory(settings, local_ranks)


def check_memory(settings: Settings, local_ranks: int) -> None:
    """Refuses the first case whose contenders do not fit side by side."""
    if settings.device == "cuda":
        free = torch.tensor([torch.cuda.mem_get_info(rank)[0] for rank in range(local_ranks)]).min()
    else:
        free = torch.tensor(available_memory() // local_ranks)
    dist.broadcast(free, src=0)
    for case in cases(settings):
        needed = contenders.memory_needed(
            settings.contenders,
            tables=case["tables"],
            rows=case["rows"],
            width=case["width"],
            lookups=lookups_a_step(case),
            batches=batch_count(case),
            optimizer=settings.optimizer,
            learns="update" in settings.passes,
            world_size=dist.get_world_size(),
        )
        if needed > 0.9 * int(free):
            sizes = f"{case['tables']} tables x {case['rows']:,} rows x {case['width']}, pooling {case['pooling']}"
            raise InputError(
                f"{sizes}, batch {case['batch']:,} needs {needed / 1e9:.1f} GB a rank, {int(free) / 1e9:.1f} GB "
                "are free: give fewer --rows or --tables, or fewer --contenders"
            )


def available_memory() -> int:
    """Bytes that this machine, or the control group that holds the process, can still give."""
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(meminfo["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free


def cases(settings: Settings) -> list[Case]:
    """All combinations of the listed sizes."""
    names = ("tables", "rows", "width", "pooling", "batch", "zipf")
    sizes = itertools.product(*(getattr(settings, name) for name in names))
    return [dict(zip(names, values, strict=True)) for values in sizes]


def lookups_a_step(case: Case) -> int:
    """Row lookups of one rank's step."""
    return case["tables"] * case["batch"] * case["pooling"]


def batch_count(case: Case) -> int:
    """Enough batches to touch as many rows as there are, so that none are in the cache for being repeated."""
    return max(4, min(256, -(-case["tables"] * case["rows"] // lookups_a_step(case))))


def run(settings: Settings, rank: int) -> None:
    """Measures all cases; rank 0 prints each as it is done and writes the files at the end."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = torch.device(settings.device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    started = time.perf_counter()
    results = []
    for case in cases(settings):
        found = measure_case(case, settings, device)
        results += found
        if rank == 0:
            print(report.table(found) + "\n", flush=True)
        gc.collect()
    if rank != 0:
        return
    print(f"{time.perf_counter() - started:.0f} s in all; GB/s counts the bytes that a step must move")
    if settings.output is not None:
        content = {
            "benchmark": "embedding_throughput",
            "machine": report.machine(device),
            "versions": report.versions(),
            "settings": asdict(settings),
            "world_size": dist.get_world_size(),
            "results": results,
        }
        settings.output.write_text(json.dumps(content, indent=1, default=str) + "\n")
    if settings.plot is not None:
        report.plot(results, settings.plot)


def measure_case(case: Case, settings: Settings, device: torch.device) -> list[report.Record]:
    """Builds all contenders of a case side by side, sees that they agree, and times them."""
    sizes = {name: case[name] for name in ("tables", "rows", "batch", "pooling", "zipf")}
    batches = id_batches.make_batches(
        batch_count(case), **sizes, seed=settings.seed, rank=dist.get_rank(), device=device
    )
    # Drawn on the CPU, so that a seed means the same weights on every device.
    generator = torch.Generator().manual_seed(settings.seed)
    weights_TRW = torch.randn(case["tables"], case["rows"], case["width"], generator=generator).to(device)
    gradient = torch.randn(case["batch"], case["tables"] * case["width"], generator=generator).to(device)
    learns = "update" in settings.passes
    built = {
        name: contenders.build(name, weights_TRW, optimizer=settings.optimizer, learns=learns)
        for name in settings.contenders
    }
    with torch.no_grad():
        outputs = {name: contender.look_up(batches[0]) for name, contender in built.items()}
    for name, output in outputs.items():
        torch.testing.assert_close(
            output, outputs[settings.contenders[0]], msg=lambda why, name=name: f"{name} looked up otherwise: {why}"
        )
    del outputs
    gather = contenders.gather(weights_TRW, lookups_a_step(case))
    lookups, step_bytes = totals(case, batches, settings.optimizer, device)

    def step(contender: contenders.Contender, learn: bool) -> Callable[[int], None]:
        def forward(number: int) -> None:
            with torch.no_grad():
                contender.look_up(batches[number % len(batches)])

        def update(number: int) -> None:
            contender.learn(batches[number % len(batches)], gradient)

        return update if learn else forward

    synchronise = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    results = []
    for stage in settings.passes:
        actions = {report.GATHER: step(gather, False)}
        actions |= {name: step(contender, stage == "update") for name, contender in built.items()}
        timings = interleaved.measure(
            actions,
            rounds=settings.rounds,
            warmup=settings.warmup,
            block_seconds=settings.block_seconds,
            synchronise=synchronise,
        )
        results += report.records(case, stage, timings, step_bytes, lookups)
    return results


def totals(
    case: Case, batches: list[id_batches.IdBatch], optimizer: str, device: torch.device
) -> tuple[int, dict[str, int]]:
    """Lookups of a step of all ranks, and the bytes that each pass of it must move.

    A lookup reads a row, a bag writes one; an update also reads a gradient row for each bag, and reads
    and writes each distinct row of the batch with its optimizer state. Ids are not counted.
    """
    row_bytes = case["width"] * 4
    state_bytes = {"rowwise_adagrad": 4, "adagrad": row_bytes, "sgd": 0}[optimizer]
    lookups = lookups_a_step(case)
    bags = case["tables"] * case["batch"]
    distinct = sum(batch.distinct_rows() for batch in batches) / len(batches)
    forward = (lookups + bags) * row_bytes
    update = forward + bags * row_bytes + distinct * 2 * (row_bytes + state_bytes)
    everyone = torch.tensor([lookups, 2 * lookups * row_bytes, forward, update], dtype=torch.float64)
    dist.all_reduce(everyone)
    counts = [int(number) for number in everyone.tolist()]
    return counts[0], {report.GATHER: counts[1], "forward": counts[2], "update": counts[3]}


if __name__ == "__main__":
    main()
