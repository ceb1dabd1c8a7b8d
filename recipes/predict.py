"""Predicts: the score of given pairs of user and item.

    python recipes/predict.py --checkpoint runs/ml100k --pairs pairs.csv --output scores.csv
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torchrec_ext as tx
from torchrec_ext.command_line import parse_settings, read_run_settings, run_recipe
from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Scores pairs: a ranker's probability of interest, a retriever's score."""

    checkpoint: str
    """Folder of the run, or of one of its checkpoints."""
    pairs: str
    """A CSV, TSV or Parquet file with the columns user and item."""
    output: str | None = None
    """A CSV file; printed unless told."""
    data_dir: str | None = None
    """Where the data sets are now, if not where they were."""
    overwrite: bool = False
    """Replace what is at --output."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute."""


def main() -> None:
    settings, _ = parse_settings(Settings)
    group = tx.distributed.join_group(settings.device)
    output = Path(settings.output) if settings.output else None
    if output is not None and output.exists() and not settings.overwrite:
        raise InputError(f"output {output} exists; add --overwrite to replace it, or name another")
    folder = tx.training.find_checkpoint(settings.checkpoint)
    pairs = tx.data.read_events(settings.pairs).frame
    _, events, _ = read_run_settings(settings.checkpoint, settings.data_dir)
    model = tx.training.load(folder, device=settings.device)
    scored = tx.retrieval.predict(model, events, pairs, progress=True)
    if not group.first:
        return
    if output is None:
        print(scored.to_string(index=False))
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    scored.to_csv(output, index=False)
    print(f"{len(scored):,} scores in {output}")


if __name__ == "__main__":
    run_recipe(main)
