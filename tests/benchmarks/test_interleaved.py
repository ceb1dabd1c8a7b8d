"""Rounds of blocks: whose turn it is, and whose time counts."""

import doctest
import time

import interleaved
import torch.distributed as dist

from tests.processes import run


def sleepers() -> tuple[list[str], dict[str, interleaved.Timing]]:
    dist.init_process_group("gloo")
    calls = []

    def quick(_: int) -> None:
        calls.append("quick")

    def slow_on_rank_1(_: int) -> None:
        calls.append("slow")
        time.sleep(0.1 * dist.get_rank())

    actions = {"quick": quick, "slow": slow_on_rank_1}
    timings = interleaved.measure(actions, rounds=3, warmup=1, block_seconds=1e-9, synchronise=lambda: None)
    return calls, timings


def test_measure_takes_turns_and_counts_the_slowest_rank() -> None:
    for calls, timings in run(sleepers):
        # One step to find the number of steps, one to warm up, three rounds.
        assert calls == ["quick", "slow"] * 5
        assert timings["slow"].steps == 1
        assert min(timings["slow"].rounds) >= 0.1 > timings["slow"].by_rank[0]


def test_examples() -> None:
    assert doctest.testmod(interleaved) == (0, 3)
