r"""A shop: views, carts and purchases in one history, tasks from view to purchase, lists for sessions.

python recipes/shop.py --data shop-tmall
torchrun --nproc-per-node 2 recipes/shop.py --data shop-tmall --show tasks --output runs/tasks
python recipes/shop.py --data shop-rees46 --show sessions --output runs/sessions
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torchrec_ext as tx
from torchrec_ext.command_line import run_recipe
from torchrec_ext.errors import InputError
from torchrec_ext.training import EarlyStopping, Optimization

if TYPE_CHECKING:
    import pandas as pd

    from torchrec_ext.data.splits.parts import Parts
    from torchrec_ext.evaluation import Report
    from torchrec_ext.training import TrainedModel

Figures = dict[str, dict[str, float]]
SHOWN = ("hr@10", "ndcg@10", "hr@50", "coverage@10", "auc", "log_loss", "purchase_auc")
# What weighs 0 is read as history: it is no target, and its items are not left out of lists as known.
WEIGHTS = {"view": 0, "cart": 0, "like": 0, "purchase": 1}


@dataclass(frozen=True)
class Settings:
    """Trains the same model with and without what a shop knows besides purchases, and prints one table."""

    data: str = "shop-tmall"
    """A shop by name, such as shop-tmall, shop-taobao or shop-rees46, or a file with a column type."""
    data_dir: str | None = None
    """Folder that holds the known data sets. By default the one that TORCHREC_EXT_DATA names."""
    show: Literal["behaviours", "tasks", "sessions"] = "behaviours"
    """behaviours: what is bought next, of all items. tasks: what of the viewed items is put into the cart and
    bought, by several heads. sessions: the next item of unknown visitors, with category, brand and price."""
    output: str = "runs/shop"
    """Folder of the runs, which recipes/report.py compares."""
    users: int = 0
    """Users that are read, the first of the data; 0 reads all."""
    encoder: str | None = None
    """Encoder of the history. By default mean_pool, which needs no order; for sessions sasrec."""
    dim: int = 128
    """Width of the vectors; those of a ranker are a quarter as wide."""
    epochs: int = 4
    """Largest number of epochs of each model."""
    seed: int = 0
    """Seed of splits, first weights, order and samples."""
    overwrite: bool = False
    """Delete what is in --output first."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main(settings: Settings) -> None:
    """Reads the shop, trains every variant and prints the table."""
    import pandas as pd

    group = tx.distributed.join_group(settings.device)
    frame = tx.data.read_events(settings.data, data_dir=settings.data_dir).frame
    if settings.users:
        frame = frame[frame["user"].isin(frame["user"].unique()[: settings.users])]
    if settings.show != "sessions" and not ("type" in frame and frame["type"].eq("purchase").any()):
        raise InputError(f"data {settings.data} has no events of type purchase; add --show sessions")
    with tx.training.open_run(settings.output, overwrite=settings.overwrite) as run:
        tx.training.write_json(run / "settings.json", {**asdict(settings), "recipe": "shop"})
        figures = {f.__name__: f for f in (behaviours, tasks, sessions)}[settings.show](settings, frame, run)
        tx.training.write_json(run / "metrics.json", figures)
        if group.first:
            print(pd.DataFrame(figures).T.to_string(float_format="{:.4f}".format, na_rep=""))


def behaviours(settings: Settings, frame: pd.DataFrame, run: Path) -> Figures:
    """What a user buys, from purchases alone and from everything that the user did."""
    from viewed_items import by_view, from_views, marked, not_bought

    figures: Figures = {}
    has_marks = "split" in frame
    if has_marks:
        frame = marked(frame)
        figures["own views, those often bought first"] = from_views(frame)
    others = not_bought(frame)
    types = {"history_fields": ("context_type",)}
    variants: dict[str, Any] = {"purchases": {}, "views, carts, purchases": {}, "with types, added": types}
    variants["with types, as scales"] = {**types, "history_mix": "scale"}
    for name, arguments in variants.items():
        read = frame[frame["type"] == "purchase"] if name == "purchases" else frame
        columns = {"split": "split"} if has_marks else {}
        events = tx.data.read_events(read, weights=WEIGHTS, context=("type",), columns=columns)
        parts = tx.data.as_marked(events) if has_marks else tx.data.leave_last_out(events)
        encoder = settings.encoder or "mean_pool"
        build = partial(
            tx.models.TwoTower, parts[0].schema, settings.dim, encoder, scorer="cosine", **arguments
        )
        trained = fitted(settings, build, parts, folder := run / name.replace(", ", "_").replace(" ", "_"))
        if not arguments:
            figures |= {f"{kind} of {name}": f for kind, f in compared(trained, parts, k=(10, 50)).items()}
        figures[name], report = evaluated(trained, parts, folder)
        figures[name] |= by_view(report, others)
    return figures


def tasks(settings: Settings, frame: pd.DataFrame, run: Path) -> Figures:
    """What of the viewed items is put into the cart and bought: a row a pair, a column a task."""
    from viewed_items import pairs_of

    pairs = pairs_of(frame).query("view > 0")
    # The labels of a chain fall; most purchases skip the cart, so they count as the step before them too.
    pairs["cart"] = pairs[["cart", "purchase"]].max(axis=1)
    events = tx.data.read_events(pairs[["user", "item", "cart", "purchase"]], labels=("cart", "purchase"))
    parts = tx.data.by_ratio(events, seed=settings.seed)
    figures: Figures = {}
    for head in ("shared_bottom", "mmoe", "ple", "esmm"):
        build = partial(
            tx.models.Ranker, parts[0].schema, settings.dim // 4, ("user", "item"), "cross_network",
            tasks=2, head=head, first_order=False,  # it would break esmm's product
        )  # fmt: skip
        trained = fitted(settings, build, parts, run / head, positive={"cart": 1, "purchase": 1})
        if not figures:
            for name, figure in (("cart", "auc"), ("purchase", "purchase_auc")):
                for kind, found in compared(trained, parts, positive={name: 1}).items():
                    figures.setdefault(kind, {})[figure] = found["auc"]
        figures[head] = evaluated(trained, parts, run / head)[0]
    return figures


def sessions(settings: Settings, frame: pd.DataFrame, run: Path) -> Figures:
    """The next item of visitors who are not known, from their session alone."""
    has_sessions = "session" in frame
    if has_sessions:
        frame = frame.assign(user=frame["session"])
    elif "timestamp" not in frame:
        raise InputError(f"data {settings.data} has neither sessions nor times; name other --data")
    described = [name for name in ("category", "brand", "price") if name in frame]
    price: dict[str, Any] = {"kind": "number", "buckets": "quantile", "missing": "unknown"}
    features = {name: price if name == "price" else {"kind": "category"} for name in described}
    items = frame.groupby("item", as_index=False)[described].first()
    kept = frame[["user", "item", "timestamp", *described]]
    events = tx.data.read_events(kept, items=items, item_features=features, context=features)
    parts = tx.data.by_user(events if has_sessions else tx.data.sessions(events), seed=settings.seed)
    figures: Figures = {}
    for count in range(len(described) + 1):
        names = described[:count]
        build = partial(
            tx.models.TwoTower, parts[0].schema, settings.dim, settings.encoder or "sasrec", (),
            [f"item_{n}" for n in names], scorer="cosine", history_fields=[f"context_{n}" for n in names],
        )  # fmt: skip
        trained = fitted(settings, build, parts, run / f"model{count}")
        if not figures:
            figures |= compared(trained, parts, k=(10, 50))
        figures[" + ".join(["items", *names])] = evaluated(trained, parts, run / f"model{count}")[0]
    return figures


def fitted(settings: Settings, build: partial[Any], parts: Parts, folder: Path, **more: Any) -> TrainedModel:
    """Trains one variant; candidates are sampled, which is faster than a softmax over the catalogue."""
    import torch

    torch.manual_seed(settings.seed)
    model = build()
    ranker = isinstance(model, tx.models.Ranker)
    return tx.training.fit(
        model, parts[0], parts[1], epochs=settings.epochs,
        loss=None if ranker else tx.losses.SoftmaxCrossEntropy("sampled", num_sampled=512),
        optimization=Optimization(2048, 1e-3, 0.05) if ranker else Optimization(128, 1e-3, 0.05),
        early_stopping=EarlyStopping(patience=1 if ranker else 2), output=folder, seed=settings.seed,
        device=settings.device, **more,
    )  # fmt: skip


def evaluated(trained: TrainedModel, parts: Parts, folder: Path) -> tuple[dict[str, float], Report]:
    """The figures of a model on the test part that the table shows, and all of them."""
    train, valid, test = parts
    report = tx.evaluation.evaluate(trained, train + valid, test, k=(10, 50), per_user=True)
    tx.training.write_evaluation(folder / "metrics.json", report, seconds=trained.seconds)
    return shown(report), report


def compared(trained: TrainedModel, parts: Parts, **more: Any) -> Figures:
    """The figures of popularity and of item-kNN under the same protocol."""
    train, valid, test = parts
    both = {"popularity": tx.evaluation.baselines.popularity, "item-kNN": tx.evaluation.baselines.item_knn}
    return {name: shown(figures(trained, train + valid, test, **more)) for name, figures in both.items()}


def shown(report: Report) -> dict[str, float]:
    """The figures of the table."""
    return {name: report[name] for name in SHOWN if name in report}


if __name__ == "__main__":
    run_recipe(main, Settings)
