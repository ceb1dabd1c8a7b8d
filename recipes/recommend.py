r"""Recommends: each user's top-N list as CSV, or one Parquet part a rank for all users.

python recipes/recommend.py --checkpoint runs/ml1m --users 1 2 3 --k 10 --output runs/ml1m/top.csv
torchrun --nproc-per-node 2 recipes/recommend.py --checkpoint runs/ml1m \
    --users all --k 10 --output runs/ml1m/all
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torchrec_ext as tx
from torchrec_ext.command_line import (
    catalogue_size,
    expect_k,
    read_run_data,
    run_recipe,
    saved_schema,
    writable_file,
    write_csv,
)
from torchrec_ext.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Settings:
    """Recommends items to users, from all events known now; what a user has seen does not come back.

    The run may come from a recipe or from fit(output=...).
    """

    checkpoint: str
    """Folder of the run, whose best checkpoint is used, or of one of its checkpoints."""
    users: tuple[str, ...]
    """Ids of users, or all."""
    k: int = 10
    """Length of the lists."""
    output: str | None = None
    """CSV file, or with --users all a folder of Parquet parts. By default the lists are printed."""
    candidates: tuple[str, ...] | None = None
    """Ids of the items that may be recommended. By default every item."""
    repeats: bool = False
    """Recommend items again that a user has an event with."""
    data: str | None = None
    """File of newer events of the same columns, which histories and seen items are read from. By default the
    data that the run was trained on, with the rows that were added to it since."""
    data_dir: str | None = None
    """Folder where the data is now. By default where it was at the training."""
    overwrite: bool = False
    """Replace what is at --output."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main(settings: Settings) -> None:
    """Opens the run and writes the lists."""
    import pandas as pd

    group = tx.distributed.join_group(settings.device)
    everybody = settings.users == ("all",)
    output = (writable_folder if everybody else writable_file)(settings.output, settings.overwrite)
    folder = tx.training.find_checkpoint(settings.checkpoint)
    expect_k(settings.k, catalogue_size(saved_schema(folder)))
    events = read_run_data(settings.checkpoint, settings.data, settings.data_dir)

    trained = tx.training.load(folder, device=settings.device)
    users = pd.Series(events.ids("user")) if everybody else pd.Series(settings.users)
    lists = tx.retrieval.recommend(
        trained,
        events,
        users,
        settings.k,
        exclude_seen=not settings.repeats,
        candidates=settings.candidates,
        progress=True,
    )
    if output is not None:
        (write_parts if everybody else write_csv)(lists, output)
    if group.first:
        where = f"{lists['user'].nunique():,} lists in {output}"
        print(lists.to_string(index=False) if output is None else where)


def writable_folder(output: str | None, overwrite: bool) -> Path:
    """The folder to write parts into; a folder that holds anything else is never replaced."""
    if output is None:
        raise InputError("--users all needs --output FOLDER for its Parquet parts")
    folder = Path(output)
    if folder.exists() and not overwrite:
        raise InputError(f"--output {folder} exists; add --overwrite to replace it, or name another")
    if folder.exists() and not (
        folder.is_dir() and all(path.match("part-*.parquet") for path in folder.iterdir())
    ):
        raise InputError(
            f"--output {folder} is not a folder of Parquet parts, so it is not replaced; name another"
        )
    return folder


def write_parts(lists: pd.DataFrame, folder: Path) -> None:
    """Each rank writes the lists of its share of the users; the folder appears once it is complete."""
    rank, world_size = tx.distributed.world()
    partial = folder.with_name(f".{folder.name}.partial")
    if rank == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    tx.distributed.barrier()
    mine = lists["user"].factorize()[0] % world_size == rank
    lists[mine].to_parquet(partial / f"part-{rank:05d}.parquet", index=False)
    tx.distributed.barrier()
    if rank == 0:
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


if __name__ == "__main__":
    run_recipe(main, Settings)
