r"""Trains a two-tower retriever on a table of events and evaluates it in full ranking.

python recipes/train_retrieval.py --data ml-100k --output runs/small
torchrun --nproc-per-node 2 recipes/train_retrieval.py --data ml-1m \
    --encoder gru --epochs 5 --output runs/ml1m
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from tyro.conf import OmitArgPrefixes

import torchrec_ext as tx
from torchrec_ext.command_line import (
    DataSettings,
    Source,
    describe_parts,
    expect_k,
    new_run,
    parse_pairs,
    run_recipe,
)
from torchrec_ext.training import Checkpoints, EarlyStopping, Optimization

PARTS = {"encoder": "encoders", "scorer": "scorers", "loss": "losses"}
"""Settings that name a plug-in, and its group."""


@dataclass(frozen=True)
class Settings:
    """Trains a two-tower retriever and evaluates it in full ranking.

    Settings of a module follow its name: --encoder gru --encoder.hidden 256 --encoder.layers 2.
    """

    source: Source = field(default_factory=lambda: DataSettings(data="ml-1m", min_item_events=5))
    output: str = "runs/retrieval"
    """Folder of the run."""
    encoder: str = "gru"
    """Encoder of the history: a name, package.module:Class, or none for matrix factorisation."""
    dim: int = 128
    """Width of the vectors."""
    query_fields: tuple[str, ...] = ()
    """Features of user and context beside the history, such as user user_gender."""
    query_hidden: tuple[int, ...] = ()
    """Hidden sizes of the query tower."""
    item_fields: tuple[str, ...] = ()
    """Side features of the items, such as item_genres, or item_image and item_audio of tiktok."""
    poolers: tuple[str, ...] = ()
    """Encoders of query and item fields of several ids, in place of the mean, such as item_words=text_cnn."""
    max_length: int = 200
    """Newest events of a history that are read."""
    history_fields: tuple[str, ...] = ()
    """Features of a history's events (context_type) or of their items (item_category) that are added to the
    items' vectors."""
    scorer: str = "dot"
    """Scorer of query and item."""
    loss: str = "softmax_cross_entropy"
    """Loss of a target among its candidates: a name, or package.module:Class. Its settings choose the
    candidates: --loss.candidates sampled --loss.num-sampled 512."""
    epochs: int = 5
    """Largest number of epochs."""
    early_stopping: OmitArgPrefixes[EarlyStopping] = field(default_factory=EarlyStopping)
    optimization: OmitArgPrefixes[Optimization] = field(default_factory=Optimization)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    sharding: tuple[str, ...] = ()
    """Sharding of tables, such as item=row_wise user=table_wise; the planner chooses for the others."""
    repeats: bool = False
    """Items a user has an event with may come back, in validation and evaluation."""
    k: tuple[int, ...] = (10, 50)
    """List lengths of the evaluation."""
    prefetch: int = 2
    """Batches that are made ready while the model computes."""
    seed: int = 0
    """Seed of first weights, order, dropout and samples."""
    resume: bool = False
    """Continue the run in --output."""
    overwrite: bool = False
    """Delete the run in --output first."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""
    timeout: float = 300.0
    """Seconds without an answer of one rank after which the other ranks fail."""


def main(settings: Settings, modules: dict[str, dict[str, Any]]) -> None:
    """Trains, evaluates and writes everything into the folder of the run."""
    import torch

    group = tx.distributed.join_group(settings.device, timeout=settings.timeout)
    encoder: Any = tx.plugins.bind("encoders", settings.encoder, **modules["encoder"])
    scorer: Any = tx.plugins.bind("scorers", settings.scorer, **modules["scorer"])
    loss = tx.plugins.build("losses", settings.loss, **modules["loss"])
    with new_run(settings.output, resume=settings.resume, overwrite=settings.overwrite) as run:
        events = settings.source.events(run.rejected)
        train, valid, test = settings.source.parts(events)
        expect_k(settings.k, items=len(train.preparation.trained.catalogue))
        if group.first:
            print(describe_parts(train))

        torch.manual_seed(settings.seed)
        model = tx.models.TwoTower(
            train.schema,
            settings.dim,
            encoder,
            settings.query_fields,
            settings.item_fields,
            settings.max_length,
            scorer,
            settings.query_hidden,
            settings.history_fields,
            poolers=parse_pairs(settings.poolers, "poolers"),
        )
        run.write_settings(settings, modules, events, recipe="train_retrieval")
        trained = tx.training.fit(
            model,
            train,
            valid,
            epochs=settings.epochs,
            loss=loss,
            optimization=settings.optimization,
            early_stopping=settings.early_stopping,
            exclude_seen=not settings.repeats,
            checkpoints=settings.checkpoints,
            output=run.path,
            resume=settings.resume,
            sharding=parse_pairs(settings.sharding, "sharding"),
            prefetch=settings.prefetch,
            seed=settings.seed,
            device=settings.device,
        )
        protocol: dict[str, Any] = {"k": settings.k, "exclude_seen": not settings.repeats}
        how = {**protocol, "progress": True, "per_user": True}
        report = tx.evaluation.evaluate(trained, train + valid, test, **how)
        popular = tx.evaluation.baselines.popularity(trained, train + valid, test, **protocol)
        run.write_metrics(trained, report, popular, seed=settings.seed)


if __name__ == "__main__":
    run_recipe(main, Settings, PARTS)
