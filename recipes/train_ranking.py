r"""Trains a ranker on rated events and evaluates it on pairs it has not seen.

torchrun --nproc-per-node 2 recipes/train_ranking.py --data ml-100k \
    --interaction convolution --epochs 5 --output runs/ml100k
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tyro.conf import OmitArgPrefixes

import torchrec_ext as tx
from torchrec_ext.command_line import (
    DataSettings,
    Source,
    describe_parts,
    fields_or_default,
    new_run,
    parse_pairs,
    positive_or_default,
    run_recipe,
)
from torchrec_ext.training import Checkpoints, EarlyStopping, Optimization

PARTS = {
    "interaction": "interactions",
    "target_attention": "target_attention",
    "head": "heads",
    "loss": "losses",
}
"""Settings that name a plug-in, and its group."""


@dataclass(frozen=True)
class Settings:
    """Trains a ranker: fields of user, item and context, crossed, to the probability of interest.

    Settings of a module follow its name: --interaction convolution --interaction.filters 200.
    """

    source: Source = field(default_factory=lambda: DataSettings(data="ml-100k", split="by_ratio"))
    output: str = "runs/ranking"
    """Folder of the run."""
    interaction: str = "cross_network"
    """Interaction that crosses the fields: a name, or package.module:Class."""
    target_attention: str | None = None
    """Attention from the item to the history: a name, or package.module:Class."""
    dim: int = 32
    """Width of the vectors."""
    fields: tuple[str, ...] | None = None
    """Features that are crossed. By default all features of the data, except the type of an event where it
    stands for its rating."""
    poolers: tuple[str, ...] = ()
    """Encoders of fields of several ids, in place of the mean, such as item_words=text_cnn."""
    over_arch: tuple[int, ...] = (64,)
    """Hidden sizes of the layers above the interaction."""
    head: str = "single"
    """Head from the over arch to the logits: a name, or package.module:Class."""
    first_order: bool = True
    """Add to the logits a weight for each id and number, and a bias; --no-first-order leaves them out."""
    linear: bool = False
    """Use the interaction's output as the logit, without layers above it."""
    max_length: int = 50
    """Newest events of a history that target attention reads."""
    history_fields: tuple[str, ...] = ()
    """Features of a history's events (context_type) or of their items (item_category) that are added to the
    items' vectors."""
    positive: tuple[str, ...] | None = None
    """Least rating of an interested user; several for as many tasks, or a label column of each task and its
    least value, such as watched=10 like=1; the first is evaluated. By default 4, or 1 where no rating is
    above 1."""
    loss: str = "binary_cross_entropy"
    """Loss of a pair's logits: a name, or package.module:Class. With --loss.weigh-by-rating positives weigh
    as much as their rating, such as the seconds watched."""
    epochs: int = 5
    """Largest number of epochs."""
    early_stopping: OmitArgPrefixes[EarlyStopping] = field(default_factory=lambda: EarlyStopping(patience=2))
    optimization: OmitArgPrefixes[Optimization] = field(
        default_factory=lambda: Optimization(learning_rate=1e-3, table_learning_rate=0.05)
    )
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    sharding: tuple[str, ...] = ()
    """Sharding of tables, such as item=row_wise user=table_wise; the planner chooses for the others."""
    prefetch: int = 2
    """Batches that are made ready while the model computes."""
    seed: int = 0
    """Seed of first weights, order and dropout."""
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

    from torchrec_ext.data.positive import recorded, tasks_of

    group = tx.distributed.join_group(settings.device, timeout=settings.timeout)
    interaction: Any = tx.plugins.bind("interactions", settings.interaction, **modules["interaction"])
    attention: Any = tx.plugins.bind(
        "target_attention", settings.target_attention, **modules["target_attention"]
    )
    head: Any = tx.plugins.bind("heads", settings.head, **modules["head"])
    loss = tx.plugins.build("losses", settings.loss, **modules["loss"])
    with new_run(settings.output, resume=settings.resume, overwrite=settings.overwrite) as run:
        events = settings.source.events(run.rejected)
        train, valid, test = settings.source.parts(events)
        if group.first:
            print(describe_parts(train))
        positive = positive_or_default(settings.positive, train)
        ((_, least), *_) = tasks = tasks_of(positive)
        chosen: Any = recorded(positive)
        if group.first and settings.positive is None:
            print(f"a rating of {least:g} or more means interest; --positive sets another threshold")
        fields = fields_or_default(settings.fields, train)
        if group.first and fields is not None and settings.fields is None:
            print("the type of an event stands for its rating, so context_type is not a field")

        torch.manual_seed(settings.seed)
        model = tx.models.Ranker(
            train.schema,
            settings.dim,
            fields,
            interaction,
            attention,
            over_arch=None if settings.linear else settings.over_arch,
            tasks=len(tasks),
            max_length=settings.max_length,
            head="single" if settings.linear else head,
            history_fields=settings.history_fields,
            first_order=settings.first_order,
            poolers=parse_pairs(settings.poolers, "poolers"),
        )
        run.write_settings(replace(settings, positive=chosen), modules, events, recipe="train_ranking")
        trained = tx.training.fit(
            model,
            train,
            valid,
            epochs=settings.epochs,
            loss=loss,
            positive=positive,
            optimization=settings.optimization,
            early_stopping=settings.early_stopping,
            checkpoints=settings.checkpoints,
            output=run.path,
            resume=settings.resume,
            sharding=parse_pairs(settings.sharding, "sharding"),
            prefetch=settings.prefetch,
            seed=settings.seed,
            device=settings.device,
        )
        report = tx.evaluation.evaluate(trained, train + valid, test, progress=True, per_user=True)
        popular = tx.evaluation.baselines.popularity(trained, train + valid, test)
        run.write_metrics(trained, report, popular, seed=settings.seed)


if __name__ == "__main__":
    run_recipe(main, Settings, PARTS)
