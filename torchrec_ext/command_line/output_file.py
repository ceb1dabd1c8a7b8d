"""Files that a recipe writes: an existing one is refused, a new one is written in one step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torchrec_ext.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def writable_file(output: str | None, overwrite: bool = False) -> Path | None:
    """The path of a file to write, or None for none.

    Args:
        output: the path.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: if it is a folder, a device, or a file that may not be replaced.
    """
    if output is None:
        return None
    path = Path(output)
    if path.is_dir():
        raise InputError(f"--output {path} is a folder; name a file")
    if path.exists() and not path.is_file():
        raise InputError(f"--output {path} is a device, which a file would replace; name a file")
    if path.exists() and not overwrite:
        raise InputError(f"--output {path} exists; add --overwrite to replace it, or name another")
    return path


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Writes CSV on rank 0 and in one step, so that a reader never finds half of it."""
    from torchrec_ext.distributed import world

    if world()[0] > 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    frame.to_csv(new, index=False)
    new.rename(path)
