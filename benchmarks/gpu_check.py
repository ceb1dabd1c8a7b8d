"""The measured steps of gpu_check.sh, each a command: machine, nccl, lookup, pipeline, ratings."""

import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
import tyro
from gpu_lookup import lookups
from gpu_pipeline import pipelined
from gpu_sizes import SIZES, Sizes, Step, timed
from record import Row, write
from tyro.conf import Positional

from torchrec_ext.distributed import join_group, quiet_libraries


def main(
    step: Positional[Literal["machine", "nccl", "lookup", "pipeline", "ratings"]],
    output: Path,
    device: Literal["cuda", "cpu"] = "cuda",
) -> None:
    """Runs one step and writes its record."""
    sizes, group = SIZES[device], join_group(device)
    facts: dict[str, Any] = {}
    rows: list[Row] = []
    with quiet_libraries():
        if step == "machine":
            facts = card(device)
        elif step == "nccl":
            rows = collectives(group.device, sizes)
        elif step == "lookup":
            rows = lookups(group.device, sizes)
        elif step == "pipeline":
            rows = pipelined(group.device, sizes)
        else:
            ratings(output.with_suffix(".csv"), sizes)
    if step in ("lookup", "pipeline"):
        rows.append(Row(step, "process", "peak bytes", peak(device)))
    write(output, f"gpu_check {step}", rows, device=str(group.device), facts=facts)
    dist.destroy_process_group()


def card(device: str) -> dict[str, Any]:
    """What the driver and torch say about the card."""
    if device == "cpu":
        return {"device": "cpu"}
    properties = torch.cuda.get_device_properties(0)
    asked = "--query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit"
    smi = ["nvidia-smi", asked, "--format=csv"]
    return {
        "device": properties.name,
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "nccl": ".".join(map(str, torch.cuda.nccl.version())),
        "nvidia-smi": subprocess.run(smi, capture_output=True, text=True).stdout.splitlines()
        if shutil.which("nvidia-smi")
        else None,
    }


def collectives(device: torch.device, sizes: Sizes) -> list[Row]:
    """NCCL (gloo on a CPU) with one rank: results are checked, and a copy is the reference."""
    sent = torch.randn(sizes.copied // 4, device=device)
    received = torch.empty_like(sent)
    actions: dict[str, Step] = {
        "copy": lambda _: received.copy_(sent),
        "all_reduce": lambda _: dist.all_reduce(received),
        "all_to_all_single": lambda _: dist.all_to_all_single(received, sent),
        "all_gather_into_tensor": lambda _: dist.all_gather_into_tensor(received, sent),
    }
    for name, action in actions.items():
        received.copy_(sent) if name == "all_reduce" else received.zero_()
        action(0)
        if not torch.equal(received, sent):
            raise AssertionError(f"{name} with one rank changed the values")
    timings = timed(actions, device, sizes.seconds)
    case = f"{'NCCL' if device.type == 'cuda' else 'gloo'}, 1 rank, {sizes.copied:,} bytes"
    return [Row(case, name, "ms", 1e3 * timing.quartiles[1]) for name, timing in timings.items()]


def ratings(path: Path, sizes: Sizes) -> None:
    """Writes ratings of up to 50 distinct items a user, in order of time."""
    rng = np.random.default_rng(0)
    each = min(50, sizes.items // 2)
    users = np.repeat(np.arange(sizes.users), each)
    items = np.concatenate([rng.choice(sizes.items, each, replace=False) for _ in range(sizes.users)])
    frame = {"user": users, "item": items, "rating": rng.integers(1, 6, len(users))}
    pd.DataFrame({**frame, "timestamp": np.arange(len(users))}).to_csv(path, index=False)


def peak(device: str) -> int:
    """Peak memory of this process: of torch's allocator on a card, resident on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    tyro.cli(main)
