"""Evaluates a run: a retriever in full ranking, a ranker on labelled pairs.

torchrun --nproc-per-node 2 recipes/evaluate.py --checkpoint runs/ml1m --k 10 50
"""

from dataclasses import dataclass
from typing import Any, Literal

import torchrec_ext as tx
from torchrec_ext.command_line import (
    catalogue_size,
    describe_popularity,
    expect_k,
    run_recipe,
    saved_schema,
    split_run_data,
    writable_file,
)
from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Evaluates a run, on a part of the split it was trained with or on newer events, and writes the figures.

    The run may come from a recipe or from fit(output=...). Newer events are rows that stand behind those of
    the training, in the file it read or in another one that --data names; all that was known at the training
    is known when they are predicted.
    """

    checkpoint: str
    """Folder of the run, whose best checkpoint is used, or of one of its checkpoints."""
    k: tuple[int, ...] = (10, 50)
    """List lengths, for a retriever."""
    part: Literal["valid", "test", "added"] | None = None
    """What to predict: a part of the split (the training part is known, before the test the validation part
    too), or the events added after the training. By default added where --data has any, else test."""
    repeats: bool = False
    """Recommend items again that a user has an event with."""
    data: str | None = None
    """File that holds the events of the training and newer ones after them, of the same columns. By default
    the data that the run was trained on."""
    data_dir: str | None = None
    """Folder where the data is now. By default where it was at the training."""
    output: str | None = None
    """File of the figures. By default evaluation.json in the run, or evaluation_valid.json or
    evaluation_added.json, which is replaced."""
    overwrite: bool = False
    """Replace what is at --output."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main(settings: Settings) -> None:
    """Opens the run and evaluates it."""
    group = tx.distributed.join_group(settings.device)
    output = writable_file(settings.output, settings.overwrite)
    folder = tx.training.find_checkpoint(settings.checkpoint)
    wants_added = settings.part == "added" or settings.part is None and settings.data is not None
    (train, valid, test), newer = split_run_data(
        settings.checkpoint, settings.data, settings.data_dir, with_added=wants_added
    )
    part = settings.part or ("test" if newer is None else "added")
    if part == "added":
        if newer is None:
            raise InputError(
                "--part added needs events after those of the training that cleaning keeps; name a file with "
                "--data"
            )
        known, targets = newer
    else:
        known, targets = (train + valid, test) if part == "test" else (train, valid)

    trained = tx.training.load(folder, device=settings.device)
    if not isinstance(trained.module, tx.contracts.Ranker):
        expect_k(settings.k, catalogue_size(saved_schema(folder)))
    protocol: dict[str, Any] = {"k": settings.k, "exclude_seen": not settings.repeats}
    report = tx.evaluation.evaluate(trained, known, targets, **protocol, progress=True, per_user=True)
    popular = tx.evaluation.baselines.popularity(trained, known, targets, **protocol)
    if output is None:
        suffix = "" if part == "test" else f"_{part}"
        output = folder.parent.parent / f"evaluation{suffix}.json"
    name = targets.table.source.name
    more = {"checkpoint": folder.name, "world_size": group.world_size, "data": name}
    tx.training.write_evaluation(output, report, popular, **more)
    if group.first:
        print(report)
        print(describe_popularity(popular))
        print(f"written to {output}")


if __name__ == "__main__":
    run_recipe(main, Settings)
