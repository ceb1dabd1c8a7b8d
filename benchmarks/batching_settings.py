"""The settings of batching.py, and the refusal of what cannot be measured."""

import os
from dataclasses import dataclass
from pathlib import Path

from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Times how batches are built, beside builders that go from example to example, and a training step.

    An example is a history, its target and three context features. See benchmarks/README.md for what
    each number means.
    """

    users: int = 2000
    """Users of the log."""
    events: int = 1000
    """Events of each user, all of which but two are examples."""
    items: int = 50_000
    """Items, of which the frequent ones are those of Zipf's law."""
    history: int = 64
    """Newest events of a history that are read."""
    batch: int = 2048
    """Examples of a batch."""
    sampled: int = 512
    """Candidates drawn a batch, beside the targets, for the retriever."""
    dim: int = 32
    """Width of the models' vectors."""
    rounds: int = 5
    """Timed blocks of each contender."""
    block_seconds: float = 0.3
    """About how long a block lasts; one batch at least."""
    threads: int = 1
    """Threads that torch may use."""
    seed: int = 0
    """Of the log, the order and the weights."""
    output: Path | None = None
    """JSON file to write: machine, versions, settings, results."""


LEAST = {
    "users": 1, "events": 4, "items": 2, "history": 1, "batch": 1, "sampled": 1, "dim": 1, "rounds": 1,
    "threads": 1,
}  # fmt: skip


def check(settings: Settings) -> None:
    """Refuses what cannot be measured, before anything is.

    Raises:
        InputError: naming the setting, the value and what is expected.
    """
    for name, least in LEAST.items():
        if getattr(settings, name) < least:
            raise InputError(f"--{name} is {getattr(settings, name)}: give at least {least}")
    if not 0 < settings.block_seconds <= 60:
        raise InputError(f"--block-seconds is {settings.block_seconds}: give between 0 and 60 seconds")
    examples = settings.users * (settings.events - 2)
    if settings.batch > examples:
        raise InputError(
            f"--batch is {settings.batch}, but {settings.users} users of {settings.events} events make "
            f"{examples} examples: give a smaller batch or more users"
        )
    path = settings.output
    if path is not None:
        folder = path.absolute().parent
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise InputError(f"--output {path}: give a file in a folder that exists and can be written to")
