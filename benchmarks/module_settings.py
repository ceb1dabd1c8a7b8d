"""The settings of modules.py and their checks."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from command import check_common

from torchrec_ext import plugins
from torchrec_ext.errors import InputError

Group = Literal["interactions", "encoders", "target_attention", "scorers", "heads", "losses"]


@dataclass(frozen=True)
class Settings:
    """Times the training of every module, compared with a plain implementation of the same paper.

    Modules of installed packages are measured too, without a peer. See benchmarks/README.md for the
    meaning of each number.
    """

    group: tuple[Group, ...] = get_args(Group)
    """Groups of modules."""
    only: tuple[str, ...] = ()
    """Names of modules; by default all of the groups."""
    interactions: tuple[int, int, int] = (2048, 8, 32)
    """Batch, fields and width."""
    encoders: tuple[int, int, int] = (32, 200, 128)
    """Batch, longest history in events, and width."""
    target_attention: tuple[int, int, int] = (2048, 50, 32)
    """Batch, longest history in events, and width."""
    scorers: tuple[int, int, int] = (256, 4096, 64)
    """Queries, shared candidates, and width."""
    heads: tuple[int, int, int] = (4096, 128, 3)
    """Batch, width and tasks."""
    losses: tuple[int, int, int] = (1024, 4096, 3)
    """Batch, candidates of a retrieval loss, and tasks of a ranking loss."""
    rounds: int = 5
    """Timed blocks per module and pass."""
    block_seconds: float = 0.05
    """Approximate length of a block, at least one step."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device that the modules run on."""
    threads: int = 1
    """Threads that torch may use."""
    seed: int = 0
    """Seed of inputs, weights and dropout."""
    quick: bool = False
    """A module or two of each group: less than a minute."""
    output: Path | None = None
    """JSON file to write."""
    plot: Path | None = None
    """PNG file to draw."""


QUICK: dict[str, Any] = {
    "only": ("concat", "dot", "gru", "sasrec", "din", "single", "softmax_cross_entropy"), "rounds": 3,
}  # fmt: skip


def check(settings: Settings) -> None:
    """Checks the settings before anything is measured.

    Raises:
        InputError: with the setting, its value and what is expected.
    """
    check_common(settings, **dict.fromkeys((*get_args(Group), "rounds", "threads"), 1))
    if not settings.group:
        raise InputError(f"--group is empty: give one or more of {', '.join(plugins.GROUPS)}")
    known = [name for group in settings.group for name in plugins.names(group)]
    for name in settings.only:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {close[0]}?" if close else "."
            raise InputError(f"--only names {name}{hint} There are {', '.join(known)}")


def chosen(settings: Settings) -> list[tuple[Group, str]]:
    """Group and name of each module to measure, in the order of the groups."""
    return [
        (group, name)
        for group in dict.fromkeys(settings.group)
        for name in plugins.names(group)
        if not settings.only or name in settings.only
    ]
