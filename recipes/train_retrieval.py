r"""Trains a two-tower retriever on a table of events and evaluates it in full ranking.

python recipes/train_retrieval.py --data ml-100k --output runs/small
torchrun --nproc-per-node 2 recipes/train_retrieval.py --data ml-1m \
    --encoder gru --epochs 5 --output runs/ml1m
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch

import torchrec_ext as tx
from torchrec_ext.command_line import (
    DataSettings,
    Source,
    describe_parts,
    expect_k,
    new_run,
    parse_pairs,
    parse_settings,
    run_recipe,
)


@dataclass(frozen=True)
class Settings:
    """Trains a two-tower retriever and evaluates it in full ranking.

    An encoder takes settings of its own: --encoder gru --encoder.hidden 256 --encoder.layers 2.
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
    max_length: int = 200
    """Newest events of a history that are read."""
    history_fields: tuple[str, ...] = ()
    """Features of a history's events that are added to their items' vectors, such as context_type."""
    scorer: str = "dot"
    """Scorer of query and item."""
    candidates: Literal["catalogue", "sampled", "in_batch"] | None = None
    """What competes in the softmax; unless told the whole catalogue up to 50,000 items, a sample beyond."""
    sampled: int = 512
    """Draws a step, for --candidates sampled."""
    epochs: int = 5
    """At most so many."""
    patience: int = 3
    """Epochs without a better validation figure before training stops."""
    global_batch_size: int | None = None
    """Examples a step, split over the ranks; unless told 32 histories, or 2,048 events where each is one."""
    learning_rate: float = 2e-3
    """Of Adam, for everything but the sharded tables."""
    warmup_steps: int | None = None
    """Steps over which Adam's learning rate rises; unless told half an epoch, at most 100."""
    table_learning_rate: float = 0.1
    """Of the fused row-wise Adagrad of the sharded tables."""
    weight_decay: float = 0.0
    """Of Adam."""
    sharding: tuple[str, ...] = ()
    """Wishes such as item=row_wise user=table_wise; the planner chooses for the other tables."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the dense part."""
    k: tuple[int, ...] = (10, 50)
    """List lengths of the evaluation."""
    checkpoint_every: int | None = None
    """Steps between checkpoints within an epoch."""
    prefetch: int = 2
    """Batches made ready while the model computes."""
    seed: int = 0
    """Of first weights, order, dropout and samples."""
    resume: bool = False
    """Go on with the run in --output."""
    overwrite: bool = False
    """Delete the run in --output first."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute."""
    timeout: float = 300.0
    """Seconds after which the others end when a rank is missing."""


def main() -> None:
    """Trains, evaluates and writes everything into the folder of the run."""
    settings, own = parse_settings(Settings, {"encoder": "encoders", "scorer": "scorers"})
    group = tx.distributed.join_group(settings.device, timeout=settings.timeout)
    encoder: Any = tx.plugins.bind("encoders", settings.encoder, **own["encoder"])
    scorer: Any = tx.plugins.bind("scorers", settings.scorer, **own["scorer"])
    with new_run(settings.output, resume=settings.resume, overwrite=settings.overwrite) as run:
        events = settings.source.events(run.rejected)
        train, valid, test = settings.source.parts(events)
        expect_k(settings.k, items=len(train.preparation.vocabularies["item"]) - 1)
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
        )
        run.write_settings(settings, own, events, recipe="train_retrieval")
        model = tx.training.fit(
            model,
            train,
            valid,
            epochs=settings.epochs,
            global_batch_size=settings.global_batch_size,
            candidates=settings.candidates,
            sampled=settings.sampled,
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
            table_learning_rate=settings.table_learning_rate,
            weight_decay=settings.weight_decay,
            sharding=parse_pairs(settings.sharding, "sharding"),
            precision=settings.precision,
            patience=settings.patience,
            output=run.path,
            resume=settings.resume,
            checkpoint_every=settings.checkpoint_every,
            prefetch=settings.prefetch,
            seed=settings.seed,
            device=settings.device,
        )
        report = tx.evaluation.evaluate(model, train + valid, test, k=settings.k, progress=True)
        popular = tx.evaluation.baseline(model, train + valid, test, k=settings.k)
        run.write_metrics(model, report, popular, seed=settings.seed)


if __name__ == "__main__":
    run_recipe(main)
