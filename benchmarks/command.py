"""The command of a benchmark: settings from the command line, refusals as one line, checks they share."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
import tyro

from torchrec_ext.errors import InputError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Common:
    """The settings that every benchmark has: its own are a subclass with more fields."""

    quick: bool = False
    """Smaller sizes and fewer rounds: less than a minute on an idle core."""
    output: Path | None = None
    """JSON file to write."""
    plot: Path | None = None
    """Image to draw."""


def run_command(
    kind: type[Settings],
    check: Callable[[Settings], None],
    run: Callable[[Settings], None],
    quick: Mapping[str, Any] | None = None,
) -> None:
    """Parses ``kind`` and checks and runs it; prints an InputError as one line and exits with 2.

    With ``--quick`` the values of ``quick`` replace those of the settings. Torch has as many threads as
    ``settings.threads``, or one. A process group that ``run`` joins is left.
    """
    logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)  # of a function that TorchRec calls
    try:
        settings: Any = tyro.cli(kind)
        if quick and settings.quick:
            settings = replace(settings, **quick)
        check_common(settings)
        check(settings)
        torch.set_num_threads(getattr(settings, "threads", 1))
        run(settings)
    except InputError as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def check_common(settings: Any, **least: int) -> None:
    """Checks the settings that many benchmarks have.

    Args:
        settings: may have ``block_seconds``, ``device``, ``output`` and ``plot``.
        least: name of a setting, a number or several, and its least value.

    Raises:
        InputError: with the setting, its value and what is expected.
    """
    for name, smallest in least.items():
        value = getattr(settings, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if min(numbers, default=smallest) < smallest:
            given = " ".join(map(str, numbers))
            raise InputError(f"--{name.replace('_', '-')} is {given}: give at least {smallest}")
    seconds = getattr(settings, "block_seconds", 1)
    if not 0 < seconds <= 60:
        raise InputError(f"--block-seconds is {seconds}: give between 0 and 60 seconds")
    if getattr(settings, "device", "cpu") == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda, but torch sees no GPU: give --device cpu")
    for name in ("output", "plot"):
        path: Path | None = getattr(settings, name, None)
        if path is None:
            continue
        folder = path.absolute().parent
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise InputError(f"--{name} {path}: give a file in a folder that exists and can be written to")
    if getattr(settings, "plot", None) is not None and find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib: install it or leave out --plot")
