"""Evaluates a run on its test part: a retriever in full ranking, a ranker on labelled pairs.

torchrun --nproc-per-node 2 recipes/evaluate.py --checkpoint runs/ml1m --k 10 50
"""

from dataclasses import dataclass
from typing import Any, Literal

import torchrec_ext as tx
from torchrec_ext.command_line import (
    catalogue_size,
    expect_k,
    free_file,
    parse_settings,
    read_run_settings,
    run_recipe,
    saved_schema,
    tell_popular,
)
from torchrec_ext.training.load import check_schema


@dataclass(frozen=True)
class Settings:
    """Evaluates a run on a part of the split it was trained with, and writes evaluation.json."""

    checkpoint: str
    """Folder of the run, or of one of its checkpoints; of a run the best one is taken."""
    k: tuple[int, ...] = (10, 50)
    """List lengths, for a retriever."""
    part: Literal["valid", "test"] = "test"
    """What to predict. The training part is known, before the test the validation part too."""
    repeats: bool = False
    """Items a user has an event with may come back."""
    data_dir: str | None = None
    """Folder where the data lies now, if not where it was."""
    output: str | None = None
    """File of the figures; unless told evaluation.json in the run (evaluation_valid.json), replaced."""
    overwrite: bool = False
    """Replace what is at --output."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main() -> None:
    """Opens the run and evaluates it."""
    settings, _ = parse_settings(Settings)
    group = tx.distributed.join_group(settings.device)
    output = free_file(settings.output, settings.overwrite)
    folder = tx.training.find_checkpoint(settings.checkpoint)
    data, events, run_settings = read_run_settings(settings.checkpoint, settings.data_dir)
    train, valid, test = data.parts(events)
    check_schema(train.schema, saved_schema(folder), folder)
    if run_settings["recipe"] == "train_retrieval":
        expect_k(settings.k, catalogue_size(train.schema))

    trained = tx.training.load(folder, device=settings.device)
    known, targets = (train + valid, test) if settings.part == "test" else (train, valid)
    protocol: dict[str, Any] = {
        "k": settings.k,
        "exclude_seen": not settings.repeats,
    }
    report = tx.evaluation.evaluate(trained, known, targets, **protocol, progress=True)
    popular = tx.evaluation.baseline(trained, known, targets, **protocol)
    if output is None:
        output = folder.parent.parent / ("evaluation.json" if targets is test else "evaluation_valid.json")
    more = {"checkpoint": folder.name, "world_size": group.world_size, "data": run_settings["data"]["name"]}
    output.parent.mkdir(parents=True, exist_ok=True)
    tx.training.write_json(output, report.as_json(popularity=popular.figures, **more))
    if group.first:
        print(report)
        print(tell_popular(popular))
        print(f"written to {output}")


if __name__ == "__main__":
    run_recipe(main)
