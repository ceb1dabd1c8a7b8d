"""Recommends: each user's top-N list as CSV, or one Parquet part a rank for all users.

    python recipes/recommend.py --checkpoint runs/ml1m --users 1 2 3 --k 10 --output runs/ml1m/top.csv
    torchrun --nproc-per-node 2 recipes/recommend.py --checkpoint runs/ml1m --users all --k 10 --output runs/ml1m/all
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

import torchrec_ext as tx
from torchrec_ext.command_line import parse_settings, read_run_settings, run_recipe
from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Recommends items to users. All events of the run's data are known, and what was seen does not come back."""

    checkpoint: str
    """Folder of the run, or of one of its checkpoints."""
    users: tuple[str, ...]
    """Ids of users, or all."""
    k: int = 10
    """Length of the lists."""
    output: str | None = None
    """A CSV file, or with --users all a folder of Parquet parts; printed unless told."""
    candidates: tuple[str, ...] | None = None
    """Ids of the items that may be recommended; every item unless told."""
    repeats: bool = False
    """Items a user has an event with may come back."""
    data_dir: str | None = None
    """Where the data sets are now, if not where they were."""
    overwrite: bool = False
    """Replace what is at --output."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute."""


def main() -> None:
    settings, _ = parse_settings(Settings)
    group = tx.distributed.join_group(settings.device)
    everybody = settings.users == ("all",)
    output = Path(settings.output) if settings.output else None
    if everybody and output is None:
        raise InputError("--users all needs --output FOLDER for its Parquet parts")
    if output is not None and output.exists() and not settings.overwrite:
        raise InputError(f"output {output} exists; add --overwrite to replace it, or name another")
    folder = tx.training.find_checkpoint(settings.checkpoint)
    _, events, _ = read_run_settings(settings.checkpoint, settings.data_dir)
    model = tx.training.load(folder, device=settings.device)
    users = events.frame["user"].drop_duplicates() if everybody else pd.Series(settings.users)
    lists = tx.retrieval.recommend(
        model, events, users, settings.k, exclude_seen=not settings.repeats, candidates=settings.candidates, progress=True
    )
    if everybody and output is not None:
        written = write_parts(lists, output, group)
    elif output is not None:
        written = write_file(lists, output, group)
    else:
        written = lists.to_string(index=False)
    if group.first:
        print(written)


def write_parts(lists: pd.DataFrame, output: Path, group: tx.distributed.Group) -> str:
    """Each rank writes the lists of its share of the users."""
    mine = pd.factorize(lists["user"])[0] % group.world_size == group.rank
    partial = output.with_name(f".{output.name}.partial")
    if group.first:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    tx.distributed.barrier()
    lists[mine].to_parquet(partial / f"part-{group.rank:05d}.parquet", index=False)
    tx.distributed.barrier()
    if group.first:
        if output.is_dir():
            shutil.rmtree(output)
        partial.rename(output)
    return f"{lists['user'].nunique():,} lists in {group.world_size} parts in {output}"


def write_file(lists: pd.DataFrame, output: Path, group: tx.distributed.Group) -> str:
    """Rank 0 writes one CSV file."""
    if group.first:
        output.parent.mkdir(parents=True, exist_ok=True)
        new = output.with_name(f".{output.name}.new")
        lists.to_csv(new, index=False)
        new.rename(output)
    return f"{lists['user'].nunique():,} lists in {output}"


if __name__ == "__main__":
    run_recipe(main)
