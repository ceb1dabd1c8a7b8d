"""One user, two shops: what purchases in one domain say about the next purchase in the other.

python recipes/cross_domain.py --target phones
torchrun --nproc-per-node 2 recipes/cross_domain.py --target electronics --output runs/electronics
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from tyro.conf import OmitArgPrefixes

import torchrec_ext as tx
from torchrec_ext.command_line import run_recipe
from torchrec_ext.errors import InputError
from torchrec_ext.training import EarlyStopping, Optimization

if TYPE_CHECKING:
    import pandas as pd

VALIDATED = 0.25  # of the users, of whom one training event in each domain, at random, is for validation
MOVES = {"higher": "lt", "same": "eq", "lower": "gt"}


@dataclass(frozen=True)
class Settings:
    """Trains on a domain alone, on both, and on one after the other, and compares them user by user."""

    data: str = "cross-amazon"
    """Data of two domains: events with the columns domain, and split, which is train or test."""
    data_dir: str | None = None
    """Folder that holds the known data sets. By default the one that TORCHREC_EXT_DATA names."""
    target: str = "phones"
    """Domain whose test events are predicted, among its items alone."""
    output: str = "runs/cross_domain"
    """Folder of the runs."""
    keep_twins: bool = False
    """Keep items of the other domain with the buyers of one of the target: a product listed in both."""
    user_table: bool = False
    """Let the query tower read a vector of the user beside the mean of the history."""
    dim: int = 64
    """Width of the vectors."""
    epochs: int = 5
    """Largest number of epochs of a training. Tuning runs as many as were best for the target alone."""
    early_stopping: OmitArgPrefixes[EarlyStopping] = field(default_factory=lambda: EarlyStopping(patience=2))
    optimization: OmitArgPrefixes[Optimization] = field(default_factory=lambda: Optimization(None, 5e-4))
    sampled: int = 500
    """Items drawn a step and rank, which compete with the targets of the batch."""
    seed: int = 0
    """Seed of the order, the validation part, first weights and samples."""
    overwrite: bool = False
    """Delete what is in --output first."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main(settings: Settings) -> None:
    """Trains in each regime, evaluates on the target's test events, and compares."""
    import pandas as pd
    import torch
    from domain_heads import Heads

    from torchrec_ext.command_line.newer_events import newer_events

    group = tx.distributed.join_group(settings.device)
    log = print if group.first else lambda *words: None
    with tx.training.open_run(settings.output, overwrite=settings.overwrite) as run:
        record = {"recipe": "cross_domain", "world_size": group.world_size}
        tx.training.write_json(run / "settings.json", {**asdict(settings), **record})
        target, rows = settings.target, read_rows(settings, log)
        mine, learnt = rows["domain"] == target, rows["split"] == "train"
        bought = rows[mine & (rows["split"] != "test")].groupby("user").size().rename("bought").reset_index()
        candidates = rows["item"][mine & learnt].unique()
        events = {
            name: as_events(rows[chosen], bought)
            for name, chosen in (("alone", mine), ("both", mine | learnt), ("source", ~mine))
        }
        parts = {name: tx.data.as_marked(found) for name, found in events.items()}

        def build(schema: tx.schema.Schema) -> tx.models.TwoTower:
            torch.manual_seed(settings.seed)
            users = ("user",) if settings.user_table else ()
            model = tx.models.TwoTower(
                schema, settings.dim, "mean_pool", users, ("item_domain",), max_length=100
            )
            model.towers.add_module("item_tower", Heads(settings.dim))
            return model

        models = {}
        for name, (train, valid, _) in parts.items():
            log(f"\n{name}: {len(train):,} events")
            models[name] = tx.training.fit(
                build(train.schema), train, valid, epochs=settings.epochs, seed=settings.seed,
                loss=tx.losses.SoftmaxCrossEntropy("sampled", settings.sampled),
                optimization=settings.optimization, early_stopping=settings.early_stopping,
                output=run / name, device=settings.device,
            )  # fmt: skip
        log("\ntuned: source, then the target's events")
        best = int(models["alone"].history["valid_ndcg@10"].argmax()) + 1
        models["tuned"] = tx.training.continue_training(
            models.pop("source"), as_events(rows[mine & learnt], bought), parts["source"][0].table_part(),
            epochs=best, build=build, output=run / "tuned", device=settings.device,
        )  # fmt: skip
        tests = {name: (train + valid, test) for name, (train, valid, test) in parts.items()}
        is_test = (events["both"].frame["split"] == "test").to_numpy()
        grown = newer_events(
            events["both"], is_test, lambda same: same, models["tuned"].preparation, parts["both"][0].protocol
        )
        assert grown is not None
        tests["tuned"] = grown
        popular = tx.evaluation.baselines.popularity(models["alone"], *tests["alone"])
        figures = {"popularity": popular.figures}
        for name in ("alone", "both"):
            figures[f"item-kNN {name}"] = tx.evaluation.baselines.item_knn(
                models[name], *tests[name], candidates=candidates, neighbours=1000, shrink=0.0
            ).figures
        for name, model in models.items():
            report = tx.evaluation.evaluate(model, *tests[name], candidates=candidates, per_user=True)
            tx.training.write_evaluation(run / name / "metrics.json", report, popular, seconds=model.seconds)
            figures[name] = report.figures
            log(f"{name}: {report.protocol}; trained in {model.seconds:.0f} s")
        tx.training.write_json(run / "metrics.json", figures)
        if group.first:
            show(pd.DataFrame(figures).T[["ndcg@10", "hr@10", "recall@50", "coverage@10"]], target)
            runs = [tx.reporting.EvaluatedRun.open(run / name) for name in models]
            found = tx.reporting.compare(runs, segments=["user_bought"], draw=False)
            show(found.tests.drop(columns=["bootstrap p", "wilcoxon p"]).set_index("run"), "against alone")
            by = found.segments[found.segments["by"] == "user_bought"].drop(columns="by")
            show(by.set_index("segment"), f"by the user's known events in {target}")
            show(moved(runs), f"users whose item stands higher or lower than with {target} alone")


def read_rows(settings: Settings, log: Callable[..., None]) -> pd.DataFrame:
    """The events in random order, as they have none, without twins and with a validation part."""
    frame = tx.data.read_events(settings.data, data_dir=settings.data_dir).frame
    frame = frame[["user", "item", "domain", "split"]].astype(str)
    domains = sorted(frame["domain"].unique())
    if settings.target not in domains or len(domains) != 2:
        raise InputError(f"target {settings.target!r} should be one of two domains; there are {domains}")
    doubled = twins(frame, settings.target)
    hit = frame["item"].isin(doubled["item"]) & (frame["split"] == "test")
    log(
        f"{doubled['item'].nunique():,} items of {settings.target}, and {hit.sum():,} test events, have a "
        "twin, an item of the other domain with the same buyers, which is left out unless --keep-twins"
    )
    if not settings.keep_twins:
        frame = frame[~frame["item"].isin(doubled["item_twin"])]
    frame = frame.sample(frac=1, random_state=settings.seed, ignore_index=True)
    first = frame[frame["split"] == "train"].drop_duplicates(["user", "domain"]).index
    frame.loc[first[np.random.default_rng(settings.seed).random(len(first)) < VALIDATED], "split"] = "valid"
    return frame


def twins(frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """Items of the target, and of the other domain, that the same two or more users bought."""
    buyers = frame.groupby("item")["user"].nunique()
    mine = frame["domain"] == target
    common = frame[mine].merge(frame[~mine], on="user", suffixes=("", "_twin"))
    found = common.drop_duplicates(["user", "item", "item_twin"]).groupby(["item", "item_twin"]).size()
    pairs = found.rename("common").reset_index()
    of_each = [pairs[name].map(buyers) for name in ("item", "item_twin")]
    return pairs[(pairs["common"] > 1) & (pairs["common"] == of_each[0]) & (pairs["common"] == of_each[1])]


def as_events(rows: pd.DataFrame, users: pd.DataFrame) -> tx.data.Events:
    """Rows as events, whose items know their domain."""
    return tx.data.read_events(
        rows.reset_index(drop=True), users=users, columns={"domain": "domain", "split": "split"},
        items=rows[["item", "domain"]].drop_duplicates("item", ignore_index=True), item_features=["domain"],
    )  # fmt: skip


def moved(runs: list[tx.reporting.EvaluatedRun]) -> pd.DataFrame:
    """Shares of the users whose best target rose, stayed and fell, against the first run."""
    import pandas as pd

    ranks = {}
    for found in runs:
        lists = found.values.users.select(["user", "ranks"]).to_pandas().set_index("user")["ranks"]
        ranks[found.name] = lists.map(lambda ranks: min(rank or np.inf for rank in ranks))
    table = pd.DataFrame(ranks)
    before = table.pop(runs[0].name)
    return pd.DataFrame({name: getattr(table, test)(before, axis=0).mean() for name, test in MOVES.items()})


def show(table: pd.DataFrame, title: str) -> None:
    """Prints a table with a line above it."""
    print(f"\n{title}", table.to_string(float_format="{:.4f}".format), sep="\n")


if __name__ == "__main__":
    run_recipe(main, Settings)
