"""The settings of batching.py and their checks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import check_common

from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Times how batches are built, compared with row-by-row builders and with a training step.

    An example is a history, its target and three context features. See benchmarks/README.md for the
    meaning of each number.
    """

    users: int = 2000
    """Number of users of the log."""
    events: int = 1000
    """Events per user; all but two are examples."""
    items: int = 50_000
    """Number of items, with frequencies after Zipf's law."""
    history: int = 64
    """Number of newest events of a history."""
    batch: int = 2048
    """Examples per batch."""
    sampled: int = 512
    """Candidates drawn per batch for the retriever, besides the targets."""
    dim: int = 32
    """Width of the models' vectors."""
    rounds: int = 5
    """Timed blocks per contender."""
    block_seconds: float = 0.3
    """Approximate length of a block, at least one batch."""
    threads: int = 1
    """Threads that torch may use."""
    seed: int = 0
    """Seed of the log, the order and the weights."""
    quick: bool = False
    """A smaller log and shorter blocks: less than a minute."""
    output: Path | None = None
    """JSON file to write: machine, versions, settings, results."""


QUICK: dict[str, Any] = {"users": 200, "events": 300, "batch": 512, "rounds": 3, "block_seconds": 0.1}
LEAST = {
    "users": 1, "events": 4, "items": 2, "history": 1, "batch": 1, "sampled": 1, "dim": 1, "rounds": 1,
    "threads": 1,
}  # fmt: skip


def check(settings: Settings) -> None:
    """Checks the settings before anything is measured.

    Raises:
        InputError: with the setting, its value and what is expected.
    """
    check_common(settings, **LEAST)
    examples = settings.users * (settings.events - 2)
    if settings.batch > examples:
        raise InputError(
            f"--batch is {settings.batch}, but {settings.users} users of {settings.events} events are "
            f"{examples} examples: give a smaller batch or more users"
        )
