"""Videos in the two stages of YouTube: candidates for a user, then the expected watch time of each.

python recipes/video.py --data video-kuairand
torchrun --nproc-per-node 2 recipes/video.py --data tiktok --output runs/tiktok
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

import torchrec_ext as tx
from torchrec_ext.command_line import describe_parts, positive_or_default, run_recipe
from torchrec_ext.training import EarlyStopping, Optimization

if TYPE_CHECKING:
    from torchrec_ext.data.splits.parts import Parts
    from torchrec_ext.training import TrainedModel

Figures = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Settings:
    """Trains YouTube's two stages, each with and without its parts; data without ratings has no second."""

    data: str = "video-kuairand"
    """video-kuairand, tiktok, or a .toml file with ratings of 0 and 1 and the labels in --positive."""
    data_dir: str | None = None
    """Folder that holds the known data sets. By default the one that TORCHREC_EXT_DATA names."""
    valid_from: str = "2022-05-05"
    """First instant of the validation part; data without times is split by its column split."""
    test_from: str = "2022-05-07"
    """First instant of the test part."""
    output: str = "runs/video"
    """Folder of the figures."""
    dim: int = 64
    """Width of the vectors of the first stage; those of the second are a quarter as wide."""
    candidates: int = 500
    """Candidates of a user, which the second stage ranks."""
    epochs: int = 8
    """Largest number of epochs of the first stage."""
    positive: tuple[str, ...] = ("watched=1", "rating=1", "like=1", "follow=1")
    """Tasks of the second stage, the first of which is the time watched: columns and their least values."""
    ranking_epochs: int = 2
    """Epochs of the second stage."""
    seed: int = 0
    """Seed of first weights, order and samples."""
    overwrite: bool = False
    """Delete what is in --output first."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main(settings: Settings) -> None:
    """Trains and evaluates the stages."""
    import pandas as pd

    group = tx.distributed.join_group(settings.device)
    with tx.training.open_run(settings.output, overwrite=settings.overwrite) as run:
        events = tx.data.read_events(settings.data, data_dir=settings.data_dir)
        figures: dict[str, Figures] = {}
        log = print if group.first else lambda *words: None

        def report(stage: str, found: Figures) -> None:
            figures[stage] = found
            tx.training.write_json(run / "metrics.json", figures)
            log(f"\n{stage}\n{pd.DataFrame(found).T.to_string(float_format='{:.4f}'.format, na_rep='')}\n")

        def split(events: tx.data.Events) -> Parts:
            by_time = partial(tx.data.by_time, valid_from=settings.valid_from, test_from=settings.test_from)
            parts = by_time(events) if "timestamp" in events.columns else tx.data.as_marked(events)
            log(describe_parts(parts[0]))
            return parts

        has_ratings = "rating" in events.columns
        liked = split(tx.data.clean(events, where={"rating": (1, None)}) if has_ratings else events)
        first, found = retrieve(liked, settings)
        report("Stage 1", found)
        if has_ratings:
            second, found = rank(split(events), settings)
            report("Stage 2", found)
            report("Both stages", both(first, second, liked, settings))


def retrieve(parts: Parts, settings: Settings) -> tuple[TrainedModel, Figures]:
    """The first stage: a tower over the mean of the watched videos, the user and the moment."""
    import torch

    train, valid, test = parts
    known, ks, dim = train + valid, (10, settings.candidates), settings.dim
    users, context = fields(train, "user")[1:], fields(train, "context")
    moment = tuple(name for name in context if not name.endswith("_age"))
    variants = {
        "watched": ((), ()),
        "... and user": (users, ()),
        "... and hour, weekday, tab": (users + moment, ()),
        "... and example age": (users + context, ()),
        "... and features of the video": (users + context, fields(train, "item")[1:]),
    }
    reports, trained, before = {}, None, None
    for name, features in variants.items():
        if features == before:  # the data has no such features
            continue
        torch.manual_seed(settings.seed)
        model = tx.models.TwoTower(train.schema, dim, "mean_pool", *features, 50, query_hidden=(256, 128))
        trained = tx.training.fit(
            model, train, valid, epochs=settings.epochs, progress=False,
            loss=tx.losses.SoftmaxCrossEntropy("sampled", 1024), early_stopping=EarlyStopping(patience=2),
            seed=settings.seed, device=settings.device,
        )  # fmt: skip
        reports[name], before = tx.evaluation.evaluate(trained, known, test, ks), features
    assert trained is not None
    simple = {"popularity": tx.evaluation.baselines.popularity, "item-kNN": tx.evaluation.baselines.item_knn}
    above = {name: figures(trained, known, test, ks) for name, figures in simple.items()}
    names = ("recall@10", "ndcg@10", f"recall@{settings.candidates}")
    return trained, {name: {n: found[n] for n in names} for name, found in (above | reports).items()}


def rank(parts: Parts, settings: Settings) -> tuple[TrainedModel, Figures]:
    """The second stage: weighted logistic regression of the time watched, beside other tasks."""
    import torch

    train, valid, test = parts
    positive = positive_or_default(settings.positive, train)
    assert isinstance(positive, dict)
    watched, plain = next(iter(positive)), fields(train, "user", "item")
    moment, every = train.schema.features_of("context"), plain + fields(train, "context")
    seen, shown = (part.table_part().frame.dropna(subset=[watched]) for part in (train, test))
    truth, vocabulary = shown[watched].to_numpy(), train.preparation.vocabularies["item"]
    items, shown_items = (vocabulary.rows(frame["item"]) for frame in (seen, shown))
    means = tx.evaluation.item_mean_label(items, seen[watched].to_numpy(), shown_items, len(vocabulary))
    figures, trained = {}, None
    for name, read, shallow, exact in (
        ("odds of the paper", every, (), False),
        ("expected time without context", plain, (), True),
        ("... context as a shallow tower", plain + moment, moment, True),
        ("expected time", every, (), True),
    ):
        torch.manual_seed(settings.seed)
        model = tx.models.Ranker(
            train.schema, settings.dim // 4, read, "concat", over_arch=(128, 64), tasks=len(positive),
            head="mmoe", shallow=shallow,
        )  # fmt: skip
        trained = tx.training.fit(
            model, train, epochs=settings.ranking_epochs, positive=positive, progress=False,
            seed=settings.seed, device=settings.device,
            loss=tx.losses.BinaryCrossEntropy(weigh_by_rating=True, also_negative=exact),
            optimization=Optimization(learning_rate=1e-3, table_learning_rate=0.05),
        )  # fmt: skip
        report = tx.evaluation.evaluate(trained, train + valid, test)
        scores = tx.retrieval.predict(trained, train.table_part(), shown)["score"].to_numpy(np.float64)
        aucs = {f"auc {task}": report["auc" if task == watched else f"{task}_auc"] for task in positive}
        figures[name] = errors(scores / (1 - scores), truth) | aucs  # the odds are seconds
    assert trained is not None
    of_task = partial(tx.evaluation.baselines.popularity, trained, train, test)
    aucs = {f"auc {task}": of_task(positive={task: least})["auc"] for task, least in positive.items()}
    constant = errors(np.full(len(truth), seen[watched].mean()), truth)
    return trained, {"mean of all": constant, "mean of the video": errors(means, truth) | aucs, **figures}


def both(first: TrainedModel, second: TrainedModel, liked: Parts, settings: Settings) -> Figures:
    """The candidates in the order of the first stage, of the second, and of both."""
    wanted = liked[2].table_part().frame.sort_values("timestamp", kind="stable")
    moments = wanted.drop_duplicates("user")
    known, who = (liked[0] + liked[1]).table_part(), (moments["user"], settings.candidates)
    lists = tx.retrieval.recommend(first, known, *who, context=moments)
    times = tx.retrieval.recommend(second, known, *who, context=moments, candidates=lists, exclude_seen=False)
    times = times[times["source"] == "model"]
    pairs = lists.merge(times[["user", "item", "score"]], on=["user", "item"], suffixes=("", "_time"))
    hits = wanted[["user", "item"]].drop_duplicates().assign(hit=1.0)
    labels = pairs.merge(hits, "left", on=["user", "item"])["hit"].fillna(0).to_numpy()
    users = pairs["user"].factorize()[0].astype(float)
    chances, times = (pairs[name].to_numpy(np.float64) for name in ("score", "score_time"))
    scores = {
        "order of stage 1": chances,
        "by expected time": times,
        "by chance times expected time": chances + np.log(times / (1 - times)),
    }
    recall, within = {"recall": labels.sum() / len(hits)}, tx.evaluation.within_groups
    return {name: recall | within(score, labels, users) for name, score in scores.items()}


def errors(seconds: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean absolute and root mean squared error, and the mean of what is predicted."""
    mae, rmse = np.abs(seconds - truth).mean(), np.sqrt(np.square(seconds - truth).mean())
    return {"MAE s": float(mae), "RMSE s": float(rmse), "mean s": float(seconds.mean())}


def fields(part: tx.data.Dataset, *entities: Literal["user", "item", "context"]) -> tuple[str, ...]:
    """Categorical and numeric features; the first is the id."""
    return (*part.schema.features_of(*entities), *part.schema.dense_of(*entities))


if __name__ == "__main__":
    run_recipe(main, Settings)
