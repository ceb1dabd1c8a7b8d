"""Training with TorchRec's pipeline and without it, and how much of a GPU's work overlaps."""

import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from gpu_sizes import Sizes, Step, timed
from interleaved import compared
from record import Row
from torch import nn
from torchrec import KeyedJaggedTensor
from torchrec.distributed.train_pipeline import TrainPipelineSparseDist
from torchrec.streamable import Pipelineable

from torchrec_ext.batch import Batch
from torchrec_ext.distributed import shard
from torchrec_ext.models import Ranker, task_for
from torchrec_ext.schema import Entity, Feature, Schema, Table
from torchrec_ext.training.optimizers import make_optimizer


def pipelined(device: torch.device, sizes: Sizes) -> list[Row]:
    """Training of a ranker on batches in host memory, with TorchRec's pipeline and one step after another."""
    names = [f"field_{i}" for i in range(sizes.fields)]
    entities: list[Entity] = ["user", "item", *["context"] * (sizes.fields - 2)]  # type: ignore[list-item]
    schema = Schema(
        (Table("user", 2), Table("item", 2), *(Table(name, sizes.field_rows) for name in names)),
        tuple(Feature(name, name, entity, name) for name, entity in zip(names, entities, strict=True)),
    )
    batches = [_batch(names, sizes, device.type == "cuda") for _ in range(8)]
    built = [_built(schema, names, sizes, device) for _ in range(2)]
    (plain, plain_optimizer), (overlapping, its_optimizer) = built
    pipeline = TrainPipelineSparseDist(overlapping, its_optimizer, device, execute_all_batches=True)
    Pipelineable.register(Batch)
    feed: Iterator[Batch] = cycle(batches)

    def one_after_another(number: int) -> None:
        batch = batches[number % len(batches)].to(device)
        plain_optimizer.zero_grad()
        plain(batch)[0].backward()
        plain_optimizer.step()

    actions: dict[str, Step] = {
        "one step after another": one_after_another,
        "pipeline": lambda _: pipeline.progress(feed),
    }
    timings = timed(actions, device, sizes.seconds)
    plainly, overlapped = timings
    case = f"{sizes.fields} fields x {sizes.field_rows:,} x {sizes.field_width}, batch {sizes.batch:,}"
    speeds = {name: sizes.batch / timing.quartiles[1] for name, timing in timings.items()}
    times = {name: timing.rounds for name, timing in timings.items()}
    rows = [
        Row(case, plainly, "examples/s", speeds[plainly]),
        compared(
            case, overlapped, "examples/s", speeds[overlapped], plainly, times[overlapped], times[plainly]
        ),
    ]
    if device.type == "cuda":
        for name, action in actions.items():
            busy = gpu_times(action)
            rows.append(Row(case, name, "share of GPU time that overlaps", 1 - busy["union"] / busy["sum"]))
            rows.append(
                Row(case, name, "share of the time that the GPU waits", 1 - busy["union"] / busy["wall"])
            )
    return rows


def _built(schema: Schema, names: list[str], sizes: Sizes, device: torch.device) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    model = Ranker(schema, sizes.field_width, names, "dot")
    task = task_for(model, device=device.type)
    dmp = shard(task, device=device.type, batch_size=sizes.batch)
    return dmp.train(), make_optimizer(dmp, 1e-3)


def _batch(names: list[str], sizes: Sizes, pinned: bool) -> Batch:
    size, none = sizes.batch, torch.zeros(0, dtype=torch.int64)
    ids = torch.randint(1, sizes.field_rows, (len(names) * size,))
    batch = Batch(
        fields=KeyedJaggedTensor(names, ids, lengths=torch.ones(len(names) * size, dtype=torch.int64)),
        sequences=KeyedJaggedTensor([], none, lengths=none, stride=size),
        dense=torch.zeros(size, 0),
        labels=torch.randint(2, (size, 1)).float(),
        total=torch.tensor(float(size), dtype=torch.float64),
    )
    return batch.pin_memory() if pinned else batch


def gpu_times(action: Step, steps: int = 20) -> dict[str, float]:
    """Microseconds of all work on the GPU, of the time in which some ran, and from the first to the last."""
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as recorded:
        for number in range(steps):
            action(number)
        torch.cuda.synchronize()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    kinds = ("kernel", "gpu_memcpy", "gpu_memset")
    spans = [(e["ts"], e["ts"] + e["dur"]) for e in events if e.get("cat") in kinds]
    first, last = min(a for a, _ in spans), max(b for _, b in spans)
    return {"sum": sum(b - a for a, b in spans), "union": union(spans), "wall": last - first}


def union(spans: list[tuple[float, float]]) -> float:
    """The length of the union of intervals.

    Example:
        >>> union([(0, 2), (1, 3), (5, 6)])
        4.0
    """
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total
