"""Evaluates a run on its test part: a retriever in full ranking, a ranker on labelled pairs.

    torchrun --nproc-per-node 2 recipes/evaluate.py --checkpoint runs/ml1m --k 10 50
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torchrec_ext as tx
from torchrec_ext.command_line import parse_settings, read_run_settings, run_recipe


@dataclass(frozen=True)
class Settings:
    """Evaluates a run on a part of the split it was trained with, and writes evaluation.json."""

    checkpoint: str
    """Folder of the run, or of one of its checkpoints."""
    k: tuple[int, ...] = (10, 50)
    """List lengths, for a retriever."""
    part: Literal["valid", "test"] = "test"
    """What to predict. What happened before it is known: the training part, and validation before the test."""
    repeats: bool = False
    """Items a user has an event with may come back."""
    data_dir: str | None = None
    """Where the data sets are now, if not where they were."""
    output: str | None = None
    """The file of the figures; evaluation.json in the run unless told."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute."""


def main() -> None:
    settings, _ = parse_settings(Settings)
    group = tx.distributed.join_group(settings.device)
    folder = tx.training.find_checkpoint(settings.checkpoint)
    data, events, trained = read_run_settings(settings.checkpoint, settings.data_dir)
    train, valid, test = data.parts(events)
    model = tx.training.load(folder, device=settings.device)
    known, targets = (train + valid, test) if settings.part == "test" else (train, valid)
    report = tx.evaluation.evaluate(
        model, known, targets, k=settings.k, exclude_seen=not settings.repeats,
        positive=trained.get("positive", 4.0), progress=True,
    )  # fmt: skip
    output = Path(settings.output) if settings.output else folder.parent.parent / "evaluation.json"
    more = {"checkpoint": folder.name, "world_size": group.world_size, "data": trained["data"]["name"]}
    tx.training.write_json(output, report.as_json(**more))
    if group.first:
        print(report)
        print(f"written to {output}")


if __name__ == "__main__":
    run_recipe(main)
