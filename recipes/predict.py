"""Predicts: the score of given pairs of user and item.

python recipes/predict.py --checkpoint runs/ml100k --pairs pairs.csv --output scores.csv
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torchrec_ext as tx
from torchrec_ext.command_line import (
    parse_pairs,
    read_run_data,
    run_recipe,
    writable_file,
    write_csv,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Settings:
    """Scores pairs: a ranker's probability of interest, a retriever's score.

    The run may come from a recipe or from fit(output=...).
    """

    checkpoint: str
    """Folder of the run, whose best checkpoint is used, or of one of its checkpoints."""
    pairs: str
    """CSV, TSV, JSON Lines or Parquet file with the columns user and item, if the data has them, and those of
    the context that the model reads."""
    columns: tuple[str, ...] = ()
    """Names of these columns in --pairs: user=uid item=sku. By default common names are found."""
    output: str | None = None
    """CSV file of the scores. By default they are printed."""
    data: str | None = None
    """File of newer events of the same columns, which histories are read from. By default the data
    that the run was trained on, with the rows that were added to it since."""
    data_dir: str | None = None
    """Folder where the data is now. By default where it was at the training."""
    overwrite: bool = False
    """Replace what is at --output."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main(settings: Settings) -> None:
    """Opens the run and scores the pairs."""
    group = tx.distributed.join_group(settings.device)
    output = writable_file(settings.output, settings.overwrite)
    folder = tx.training.find_checkpoint(settings.checkpoint)
    events = read_run_data(settings.checkpoint, settings.data, settings.data_dir)
    trained = tx.training.load(folder, device=settings.device)
    pairs = read_pairs(settings.pairs, parse_pairs(settings.columns, "columns"), trained, events)
    scored = tx.retrieval.predict(trained, events, pairs, progress=True)
    if output is not None:
        write_csv(scored, output)
    if group.first:
        print(scored.to_string(index=False) if output is None else f"{len(scored):,} scores in {output}")


def read_pairs(
    path: str, columns: dict[str, str], trained: tx.training.TrainedModel, events: tx.data.Events
) -> pd.DataFrame:
    """Reads the pairs; their columns have the kinds of those of the events."""
    from torchrec_ext.data.columns import kind_of

    read = {feature.column for feature in tx.retrieval.context_features(trained)}
    context = [name for name in events.context_features if name in read]
    left_out = {"user", "item"} - {*events.columns} | {"timestamp", "rating", "type"} - read
    specs: dict[str, Any] = {**dict.fromkeys(left_out, ""), **columns}
    for name in context:
        column = events.column(name)
        specs[name] = {"column": columns.get(name, name)}
        if column is not None and name != "timestamp":  # which is always a time, and there in each row
            specs[name] |= {"kind": kind_of(column), "needed": False}
            if kind_of(column) == "vector":
                specs[name]["width"] = column.type.list_size
    return tx.data.read_events(path, columns=specs, context=[n for n in context if n != "timestamp"]).frame


if __name__ == "__main__":
    run_recipe(main, Settings)
