"""Runs contenders in turn, each in a process of its own: none changes another's memory or settings."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

Finished = Callable[..., None]
"""Called after each epoch, with its number of targets, and details if there are any."""
Contender = Callable[[Finished], None]
"""Trains epoch after epoch, as many as are asked for at least."""


@dataclass(frozen=True)
class Turn:
    """An epoch.

    Args:
        targets: that were learnt.
        processor: seconds of all threads of the process.
        wall: seconds of the clock.
        details: of the contender.
    """

    targets: int
    processor: float
    wall: float
    details: dict[str, Any] = field(default_factory=dict)


def in_turns(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[Turn]]:
    """Rounds of one epoch of each contender (A B C A B C ...), so that slow periods affect all alike.

    The processes are forked, so they share what was read before; no backward pass may have run before.

    Args:
        contenders: by name.
        rounds: epochs of each.

    Raises:
        RuntimeError: if a contender ends before its last epoch; it has printed why.

    Example:
        >>> found = in_turns({"three": lambda finished: [finished(3) for _ in range(2)]}, rounds=2)
        >>> [turn.targets for turn in found["three"]]
        [3, 3]
    """
    fork = multiprocessing.get_context("fork")
    pipes, processes = {}, []
    for name, contender in contenders.items():
        pipes[name], theirs = fork.Pipe()
        processes.append(fork.Process(target=_work, args=(contender, theirs), daemon=True))
        processes[-1].start()
        theirs.close()
    found: dict[str, list[Turn]] = {name: [] for name in contenders}
    try:
        for _ in range(rounds):
            for name, pipe in pipes.items():
                try:
                    pipe.send("go")
                    found[name].append(pipe.recv())
                except (EOFError, OSError):
                    raise RuntimeError(f"{name} ended before epoch {len(found[name]) + 1}") from None
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return found


def _work(contender: Contender, pipe: Connection) -> None:
    began = 0.0, 0.0

    def finished(targets: int, **details: Any) -> None:
        nonlocal began
        now = time.process_time(), time.perf_counter()
        pipe.send(Turn(targets, now[0] - began[0], now[1] - began[1], details))
        pipe.recv()
        began = time.process_time(), time.perf_counter()

    pipe.recv()
    began = time.process_time(), time.perf_counter()
    contender(finished)
