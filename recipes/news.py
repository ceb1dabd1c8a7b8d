r"""Ranks the articles that a reader has in view by their recent past, since most are new.

torchrun --nproc-per-node 2 recipes/news.py --data news-ebnerd
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from tyro.conf import OmitArgPrefixes

import torchrec_ext as tx
from torchrec_ext.command_line import run_recipe
from torchrec_ext.errors import InputError
from torchrec_ext.training import EarlyStopping, Optimization


@dataclass(frozen=True)
class Settings:
    """Learns which article of an impression is clicked, from its age, recent clicks and readers' dwell time.

    Beside the whole model stand the same without the context, without the position, with the position as a
    field like any other, and with the articles' ids in place of their past.
    """

    data: str = "news-ebnerd"
    """Views with a rating of 1 if clicked: a known name, such as news-ebnerd or yidian, or a .toml file that
    declares tables. Without a label column impression, what a user saw at one time is one."""
    data_dir: str | None = None
    """Folder that holds the known data sets by name. By default the one that TORCHREC_EXT_DATA names."""
    output: str = "runs/news"
    """Folder of the runs."""
    valid_from: str = "2023-05-24T07:00"
    """First instant of the validation part, in UTC."""
    test_from: str = "2023-05-25T07:00"
    """First instant of the test part, in UTC."""
    hours: tuple[float, ...] = (0.25, 1, 3, 6, 24, 72)
    """Windows before an event in which views and clicks of an article are counted."""
    delay: str = "10 min"
    """Time after which a click and how long its reader stayed are known."""
    bins: int = 20
    """Buckets of each number of an article's past."""
    only: tuple[str, ...] = ()
    """Train these models alone: whole, no_context, no_position, crossed_position or ids. By default all."""
    interaction: str = "cross_network"
    """Interaction that crosses the fields: a name, or package.module:Class."""
    dim: int = 8
    """Width of the vectors."""
    negatives: int = 4
    """Articles not clicked of the same impression that each click is compared with in a step."""
    epochs: int = 5
    """Largest number of epochs."""
    early_stopping: OmitArgPrefixes[EarlyStopping] = field(default_factory=lambda: EarlyStopping(patience=2))
    optimization: OmitArgPrefixes[Optimization] = field(
        default_factory=lambda: Optimization(1024, learning_rate=1e-3, table_learning_rate=0.02)
    )
    seed: int = 0
    """Seed of first weights and order."""
    overwrite: bool = False
    """Delete what is in --output first."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


POSITION = "context_position"
OF_GROUPS = ["group_auc", "group_mrr", "group_ndcg@10"]


def main(settings: Settings) -> None:
    """Prepares the features, trains each model and prints one table."""
    import pandas as pd
    import torch

    began = time.perf_counter()
    group = tx.distributed.join_group(settings.device)
    log = print if group.first else lambda *words: None
    events, past = described_by_their_past(settings)
    train, valid, test = tx.data.by_time(events, valid_from=settings.valid_from, test_from=settings.test_from)
    log(events.summary())
    log(f"{len(train):,} events to train, {len(valid):,} to validate, {len(test):,} to test")

    names = train.schema.features_of("context")
    fresh = tuple(name for name in names if name in past)
    context = tuple(name for name in names if name not in (*past, POSITION))
    position, ids = tuple(name for name in names if name == POSITION), ("user", "item")
    content = (*train.schema.features_of("item"), *train.schema.dense_of("item"))
    fresh = (*fresh, *(name for name in content if name != "item"))
    fields = {  # and which of them are shallow
        "whole": ((*fresh, *context, *position), position),
        "no_context": ((*fresh, *position), position),
        "no_position": ((*fresh, *context), ()),
        "crossed_position": ((*fresh, *context, *position), ()),
        "ids": ((*ids, *context, *position), position),
    }
    for name in settings.only:
        if name not in fields:
            raise InputError(f"only names {name!r}, which is not a model; choose from {', '.join(fields)}")
    with tx.training.open_run(settings.output, overwrite=settings.overwrite) as run:
        record = {**dataclasses.asdict(settings), "data": tx.training.data_record(events), "recipe": "news"}
        tx.training.write_json(run / "settings.json", {**record, "world_size": group.world_size})

        figures: dict[str, dict[str, float]] = {}
        for name in settings.only or fields:
            log(f"\n{name}")
            torch.manual_seed(settings.seed)
            chosen, shallow = fields[name]
            model = tx.models.Ranker(
                train.schema, settings.dim, chosen, settings.interaction, shallow=shallow, over_arch=(64,)
            )
            trained = tx.training.fit(
                model, train, valid, epochs=settings.epochs, positive=1.0,
                loss=tx.losses.GroupSoftmax("impression", settings.negatives),
                optimization=settings.optimization, early_stopping=settings.early_stopping,
                output=run / name, seed=settings.seed, device=settings.device,
            )  # fmt: skip
            report = tx.evaluation.evaluate(trained, train + valid, test, group="impression", progress=True)
            figures[name] = report.figures
        known, baselines = train + valid, tx.evaluation.baselines
        figures = {
            "mean label": baselines.popularity(trained, known, test, group="impression").figures,
            "item-kNN": baselines.item_knn(trained, known, test, group="impression").figures,
            **{f"clicks of the last {hours:g} h": of_clicks(test, hours) for hours in settings.hours},
            **figures,
        }
        tx.training.write_json(run / "metrics.json", figures)
        table = pd.DataFrame(figures).T[OF_GROUPS]
        log(f"\n{report.protocol}\n{int(report.figures['groups']):,} impressions to test")
        log(table.to_string(float_format="{:.4f}".format))
        log(f"\n{time.perf_counter() - began:.0f} s; everything is in {run}")


def described_by_their_past(settings: Settings) -> tuple[tx.data.Events, tuple[str, ...]]:
    """What was in view, with its features, and the names of those that tell an article's past.

    The position is known of the training alone: nobody knows it before the articles are ranked.
    """
    import pandas as pd

    from torchrec_ext.data.features import Number

    events = tx.data.read_events(settings.data, data_dir=settings.data_dir)
    if "impression" not in events.labels:
        events = together(events)
    before = set(events.columns)
    dwell = "dwell" if "dwell" in before else None
    events = tx.data.freshness(events, settings.hours, dwell=dwell, delay=settings.delay)
    past = tuple(f"context_{name}" for name in events.columns if name not in before)
    events = events.take(events.frame["rating"].notna().to_numpy())  # earlier clicks have given the age
    buckets = Number(missing="unknown", buckets="quantile", bins=settings.bins)
    options = {**events.options, **dict.fromkeys(past, buckets)}
    chosen = events.context_features
    position, times = events.numbers("position"), events.numbers("timestamp")
    if position is not None and times is not None:
        later = times >= pd.Timestamp(settings.valid_from, tz="UTC").timestamp()
        events = events.with_numbers({"position": np.where(later, np.nan, position)})
        options[POSITION] = Number(missing="unknown", buckets=tuple(np.arange(0.5, 30)))
        chosen = tuple(dict.fromkeys((*chosen, "position")))
    return dataclasses.replace(events, options=options, context_features=chosen), past


def together(events: tx.data.Events) -> tx.data.Events:
    """The events with a number of the impression, of data without one: what a user saw at one time."""
    import pandas as pd

    moments = pd.DataFrame({"user": events.codes("user"), "time": events.ticks})
    numbers = moments.groupby(["user", "time"]).ngroup().to_numpy()
    return dataclasses.replace(
        events.with_numbers({"impression": numbers}), labels=(*events.labels, "impression")
    )


def of_clicks(test: tx.data.Dataset, hours: float) -> dict[str, float]:
    """The figures of popularity by recency: the articles with most clicks in the last hours first."""
    rows = test.table_part().frame
    name = f"clicks_{hours:g}h".replace(".", "_")
    rows = rows[rows["rating"].notna()]
    columns = (rows[column].to_numpy(float) for column in (name, "rating", "impression"))
    return tx.evaluation.within_groups(*columns)


if __name__ == "__main__":
    run_recipe(main, Settings)
