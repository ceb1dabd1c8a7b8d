"""The sizes of gpu_check.py, on a card and on a CPU, and how it takes time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import interleaved
import torch

Step = Callable[[int], Any]


@dataclass(frozen=True)
class Sizes:
    """Those of a card and, to test the script, of a CPU."""

    tables: int
    rows: int
    width: int
    batch: int
    copied: int
    """Bytes of a copy."""
    fields: int
    field_rows: int
    field_width: int
    users: int
    items: int
    seconds: float
    """Of a block."""


SIZES = {
    "cuda": Sizes(32, 10_000_000, 128, 4096, 2 * 10**9, 26, 1_000_000, 64, 20_000, 5000, 0.3),
    "cpu": Sizes(4, 1000, 16, 64, 10**6, 4, 500, 8, 60, 100, 0.01),
}


def timed(actions: dict[str, Step], device: torch.device, seconds: float) -> dict[str, interleaved.Timing]:
    """Five rounds of each action in turn."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    return interleaved.measure(actions, rounds=5, warmup=1, block_seconds=seconds, synchronise=wait)
