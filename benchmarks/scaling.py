"""Times a training step and measures its memory as one size after another grows, with fitted exponents.

python benchmarks/scaling.py --output scaling.json --plot scaling.png
python benchmarks/scaling.py --catalogue 10_000 100_000 1_000_000 --ranks 1 2 4 --world-sizes
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise the profiler logs its starts and stops
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or memory from before its start

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing
from command import Common, check_common, run_command
from interleaved import compared, quartiles
from module_costs import peak_bytes
from planner_estimate import estimate, estimate_rows
from record import Row, save
from scaling_workload import Sizes, training_step
from tables import table_of

from torchrec_ext.distributed import join_group, quiet_libraries

MEASURED = {"seconds": "time", "step_bytes": "memory of a step", "held_bytes": "held memory"}


@dataclass(frozen=True)
class Settings(Common):
    """Each listed size grows alone; the others are those of ``scaling_workload.Sizes``.

    The step is that of a retriever with a softmax over the whole catalogue, for ``rows`` over 512 sampled
    items. See docs/measuring.md for how to read the table.
    """

    catalogue: tuple[int, ...] = (2000, 8000, 32_000)
    """Items of a softmax over all."""
    rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """Items of a softmax over 512 sampled ones."""
    width: tuple[int, ...] = (32, 64, 128, 256)
    """Widths of table and encoder."""
    batch: tuple[int, ...] = (8, 32, 128)
    """Histories of a step."""
    history: tuple[int, ...] = (25, 50, 100, 200)
    """Events of a history."""
    ranks: tuple[int, ...] = (1, 2)
    """Processes, each with a batch of its own and one thread."""
    world_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    """Numbers of GPUs that TorchRec's planner estimates 32 tables x 10M x 128 for, on paper; none: leave
    it out."""
    encoder: str = "sasrec"
    """Encoder of the histories."""
    rounds: int = 5
    """Timed blocks of each size."""
    steps: int = 5
    """Steps of a block."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device of the step; the ranks need a GPU each."""


QUICK: dict[str, Any] = {
    "catalogue": (1000, 4000), "rows": (10_000, 100_000), "width": (32, 64), "batch": (8, 32),
    "history": (25, 50), "world_sizes": (8, 16), "rounds": 3, "steps": 2,
}  # fmt: skip
AXES: dict[str, Callable[[int], Sizes]] = {
    "catalogue": lambda n: Sizes(items=n),
    "rows": lambda n: Sizes(items=n, sampled=512),
    "width": lambda n: Sizes(width=n),
    "batch": lambda n: Sizes(batch=n),
    "history": lambda n: Sizes(history=n),
}


@dataclass(frozen=True)
class Point:
    """One size.

    Args:
        axis: what grows.
        size: its size.
        rounds: seconds of a step in each round: on a CPU of processor time, of the slowest rank.
        step_bytes: peak memory that a step takes.
        held_bytes: weights and optimizer state of a rank.
    """

    axis: str
    size: int
    rounds: list[float]
    step_bytes: int
    held_bytes: int

    @property
    def seconds(self) -> float:
        """The median over the rounds."""
        return quartiles(self.rounds)[1]


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, QUICK)


def check(settings: Settings) -> None:
    """Checks the settings before anything is measured; raises InputError."""
    check_common(settings, **dict.fromkeys((*AXES, "ranks", "world_sizes", "rounds", "steps"), 1))


def run(settings: Settings) -> None:
    """Measures all sizes, prints a table and writes the files."""
    join_group(settings.device)
    with quiet_libraries():
        points = [point for axis in AXES for point in measure(settings, axis, getattr(settings, axis))]
        points += [measure_ranks(settings, ranks) for ranks in settings.ranks]
    rows = rows_of(points, fitted(points))
    print(table_of(rows), flush=True)
    estimates = [estimate(gpus) for gpus in settings.world_sizes]
    if planned := estimate_rows(estimates):
        print("\non paper, by TorchRec's planner: 32 tables x 10M x 128, pooling 20, 4,096 examples a GPU")
        print(table_of(planned))
        rows += planned
    for unfit in (e.gpus for e in estimates if e.seconds is None):
        print(f"{unfit} GPUs: the tables do not fit")
    save(settings, "scaling", rows, device=settings.device)


def measure(settings: Settings, axis: str, sizes: Sequence[int]) -> list[Point]:
    """The points of an axis, timed alternately; ``ranks`` has the sizes of the others."""
    device = torch.device(settings.device)
    of = AXES.get(axis, lambda _: Sizes())
    steps = {size: training_step(of(size), settings.encoder, device, dist.get_rank()) for size in sizes}
    taken: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(settings.rounds):
        for size, (step, _held) in steps.items():
            taken[size].append(_block(step, settings.steps, device))
    return [
        Point(axis, size, taken[size], peak_bytes(lambda step=step: step(1), device), held)  # type: ignore[misc]
        for size, (step, held) in steps.items()
    ]


def _block(step: Callable[[int], None], steps: int, device: torch.device) -> float:
    """Seconds a step. Processor time hardly depends on other programs, unlike time on the clock."""
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.synchronize()
    began = clock()
    for number in range(steps):
        step(number)
    if on_gpu:
        torch.cuda.synchronize()
    slowest = torch.tensor((clock() - began) / steps, dtype=torch.float64)
    dist.all_reduce(slowest, dist.ReduceOp.MAX)
    return slowest.item()


def measure_ranks(settings: Settings, ranks: int) -> Point:
    """The step in several processes of one thread each; memory is that of rank 0."""
    if ranks == 1:
        return measure(settings, "ranks", [1])[0]
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_one_rank, (ranks, folder, settings), nprocs=ranks)
        return Point(**json.loads((Path(folder) / "point.json").read_text()))


def _one_rank(rank: int, ranks: int, folder: str, settings: Settings) -> None:
    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(ranks)}
    torch.set_num_threads(1)
    backend = "cpu:gloo,cuda:nccl" if settings.device == "cuda" else "gloo"
    store = dist.FileStore(f"{folder}/store", ranks)
    dist.init_process_group(backend, store=store, rank=rank, world_size=ranks)
    join_group(settings.device)
    with quiet_libraries():
        point = measure(settings, "ranks", [ranks])[0]
    if rank == 0:
        (Path(folder) / "point.json").write_text(json.dumps(asdict(point)))
    dist.destroy_process_group()


def fitted(points: Sequence[Point]) -> dict[tuple[str, str], float]:
    """Axis and figure -> the exponent b of the least-squares fit of a * size ** b, on logarithms.

    Example:
        >>> points = [Point("batch", size, [size**2], 3, 6 * size) for size in (1, 2, 4)]
        >>> {figure: b for (_, figure), b in fitted(points).items()}
        {'time': 2.0, 'memory of a step': 0.0, 'held memory': 1.0}
    """
    found = {}
    for axis in dict.fromkeys(point.axis for point in points):
        of_axis = [point for point in points if point.axis == axis]
        if len({point.size for point in of_axis}) > 1:
            sizes = np.log([point.size for point in of_axis])
            for figure, name in MEASURED.items():
                values = np.log([getattr(point, figure) for point in of_axis])
                found[axis, name] = round(float(np.polyfit(sizes, values, 1)[0]), 3) + 0.0  # no -0
    return found


def rows_of(points: Sequence[Point], exponents: dict[tuple[str, str], float]) -> list[Row]:
    """The rows of the common schema; the ratio says how much of the smallest size's speed is left."""
    first = {point.axis: point for point in reversed(points)}
    rows = []
    for p in points:
        case, smallest = f"{p.axis} {p.size:,}", first[p.axis]
        if p is smallest:
            rows.append(Row(case, "step", "ms", 1e3 * p.seconds))
        else:
            reference = f"{p.axis} {smallest.size:,}"
            rows.append(compared(case, "step", "ms", 1e3 * p.seconds, reference, p.rounds, smallest.rounds))
        rows.append(Row(case, "step", "step MB", p.step_bytes / 1e6))
        rows.append(Row(case, "step", "held MB", p.held_bytes / 1e6))
    return rows + [Row(axis, figure, "exponent", b) for (axis, figure), b in exponents.items()]


if __name__ == "__main__":
    main()
