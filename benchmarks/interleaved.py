"""Times several actions in interleaved rounds (A B C A B C ...), so that slow periods affect all equally."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Literal

import torch
import torch.distributed as dist
from record import Row

Clock = Literal["wall", "processor"]
"""Whether time is what passes, or what all threads of a process use of the processor."""


@dataclass(frozen=True)
class Timing:
    """Seconds per step of one action.

    Args:
        steps: steps of a timed block, the same in every round and on every rank.
        rounds: for each round the seconds per step of the slowest rank.
        by_rank: for each rank the median over its rounds.
    """

    steps: int
    rounds: list[float]
    by_rank: list[float]

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile over the rounds."""
        return quartiles(self.rounds)


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, linearly interpolated.

    Example:
        >>> quartiles([4.0, 1.0, 2.0, 3.0, 10.0])
        (2.0, 3.0, 4.0)
    """
    ordered = torch.tensor(values, dtype=torch.float64)
    low, middle, high = torch.quantile(ordered, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
    return low, middle, high


def compared(
    case: str,
    contender: str,
    metric: str,
    value: float,
    reference: str,
    seconds: list[float],
    reference_seconds: list[float],
) -> Row:
    """A row whose ratio is the median over the rounds of the speed relative to a reference in the same round.

    Example:
        >>> row = compared("a", "ours", "s", 2.0, "torch", [1.0, 2.0, 2.0], [2.0, 4.0, 8.0])
        >>> row.ratio, row.low, row.high
        (2.0, 2.0, 3.0)
    """
    ratios = [other / own for own, other in zip(seconds, reference_seconds, strict=True)]
    low, ratio, high = quartiles(ratios)
    return Row(case, contender, metric, value, reference, ratio, *((low, high) if len(ratios) > 1 else ()))


def measure(
    actions: Mapping[str, Callable[[int], object]],
    *,
    rounds: int,
    warmup: int,
    block_seconds: float,
    synchronise: Callable[[], None],
    clock: Clock = "wall",
) -> dict[str, Timing]:
    """Runs the actions alternately in a number of rounds; every rank of the default group must call it.

    Args:
        actions: name -> one step, called with a number that counts the action's steps.
        rounds: timed blocks per action.
        warmup: untimed blocks per action before them.
        block_seconds: approximate length of a block, which determines its number of steps, at least one.
        synchronise: waits until the device has finished its work.
        clock: what is measured.

    Returns:
        The timings by name.
    """
    counters = {name: count() for name in actions}
    now = time.perf_counter if clock == "wall" else time.process_time

    def block(name: str, steps: int) -> list[float]:
        action, counter = actions[name], counters[name]
        dist.all_reduce(torch.zeros(1))  # a barrier: no rank starts before all are ready
        synchronise()
        start = now()
        for _ in range(steps):
            action(next(counter))
        synchronise()
        local = torch.tensor([(now() - start) / steps], dtype=torch.float64)
        gathered = [torch.empty_like(local) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, local)
        return [seconds.item() for seconds in gathered]

    steps = {}
    for name in actions:
        # The first step may compile or fill caches; if it is long it determines the number all the same.
        seconds = max(block(name, 1))
        if seconds < block_seconds:
            seconds = max(block(name, 3))
        steps[name] = max(1, min(10_000, round(block_seconds / seconds)))
    for _ in range(warmup):
        for name in actions:
            block(name, steps[name])
    taken: dict[str, list[list[float]]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name in actions:
            taken[name].append(block(name, steps[name]))
    return {
        name: Timing(
            steps=steps[name],
            rounds=[max(ranks) for ranks in blocks],
            by_rank=[quartiles(list(seconds))[1] for seconds in zip(*blocks, strict=True)],
        )
        for name, blocks in taken.items()
    }
