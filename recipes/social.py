r"""A social network: the friends of users as a source of data, and friends as what is recommended.

python recipes/social.py --data ciao
torchrun --nproc-per-node 2 recipes/social.py --data ciao --overwrite
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

import torchrec_ext as tx
from torchrec_ext.command_line import run_recipe
from torchrec_ext.errors import InputError
from torchrec_ext.training import Optimization

if TYPE_CHECKING:
    import pandas as pd

    from torchrec_ext.data.splits.parts import Parts

Fields = Mapping[str, Sequence[str]]
FRIENDS_ITEMS = 50
"""Items that are a feature of a user: those that most friends have events with."""


@dataclass(frozen=True)
class Settings:
    """Trains the same retriever with and without the friends of users, then one whose items are users."""

    data: str = "ciao"
    """Data whose table of users has a column of lists of users: a name, or a file that declares it."""
    data_dir: str | None = None
    """Folder that holds the known data sets. By default the one that TORCHREC_EXT_DATA names."""
    friends: str = "trusts"
    """That column."""
    min_item_events: int = 10
    """Events that an item needs to stay."""
    users: int = 0
    """Users that are read, the first of the data; 0 reads all."""
    output: str = "runs/social"
    """Folder of the figures."""
    few: int = 5
    """Known events up to which a user has few."""
    dim: int = 32
    """Width of the vectors."""
    epochs: int = 2
    """Largest number of epochs of each model of items; the one of friends gets six times as many."""
    seed: int = 0
    """Seed of first weights, order, samples and of the split of friendships."""
    overwrite: bool = False
    """Delete what is in --output first."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def main(settings: Settings) -> None:
    """Reads events and friendships, trains every variant and prints the tables."""
    import pandas as pd

    group = tx.distributed.join_group(settings.device)
    with tx.training.open_run(settings.output, overwrite=settings.overwrite) as run:
        frame, friendships = read(settings)
        parts = with_friends(frame, friendships)
        fields: Fields = {
            "without friends": ["user"],
            "friends": ["user", "user_friends"],
            "friends and their items": ["user", "user_friends", "user_friends_items"],
        }
        reports = compare(settings, parts, fields, settings.epochs, batch=1024, scorer="dot")
        found = {name: per_user(report, "ndcg@10") for name, report in reports.items()}
        found["friends' items alone"] = of_friends(reports["popularity"], parts)
        figures = {"items": pd.DataFrame(by_known_events(found, set(friendships["user"]), settings.few)).T}
        protocol = {"items": reports["friends"].protocol}

        edges = tx.data.read_events(friendships.rename(columns={"friend": "item"}))
        parts = tx.data.by_ratio(edges, valid=0.1, test=0.1, seed=settings.seed)
        # there are few users, each an example, so batches are smaller and epochs shorter
        fields, epochs = {"friends so far": ()}, 6 * settings.epochs
        reports = compare(settings, parts, fields, epochs, batch=128, scorer="cosine")
        rows = {name: {k: report[k] for k in ("hr@10", "ndcg@10")} for name, report in reports.items()}
        figures["friends"], protocol["friends"] = pd.DataFrame(rows).T, reports["friends so far"].protocol
        kept = {n: f.astype(object).where(f.notna(), None).to_dict("index") for n, f in figures.items()}
        tx.training.write_json(run / "metrics.json", kept)
        if group.first:
            for name, table in figures.items():
                print(f"\n{name}: {protocol[name]}\n{table.to_string(float_format='{:.4f}'.format)}")


def read(settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The events, and a row ``user``, ``friend`` for each friendship between users who have events."""
    events = tx.data.read_events(settings.data, data_dir=settings.data_dir)
    if events.users is None or settings.friends not in events.users:
        raise InputError(f"--friends {settings.friends} is not a column of the table of users; name another")
    if settings.users:
        kept = events.ids("user")[: settings.users]
        events = events.take(np.isin(events.codes("user"), events.distinct("user").get_indexer(kept)))
    events = tx.data.clean(events, min_item_events=settings.min_item_events)
    assert events.users is not None
    there = set(events.ids("user"))
    friendships = events.users[["user", settings.friends]].explode(settings.friends).dropna()
    friendships = friendships.set_axis(["user", "friend"], axis=1).astype(events.frame["user"].dtype)
    friendships = friendships[friendships["user"].isin(there) & friendships["friend"].isin(there)]
    return events.frame[["user", "item", "timestamp"]], friendships.drop_duplicates(ignore_index=True)


def with_friends(frame: pd.DataFrame, friendships: pd.DataFrame) -> Parts:
    """The parts of the events with friends as features of users.

    What friends had before the validation begins is a feature, and nothing of later.
    """
    valid_from, test_from = np.quantile(frame["timestamp"], [0.85, 0.9])
    ratings = frame.loc[frame["timestamp"] < valid_from, ["user", "item"]].drop_duplicates()
    of_friends = friendships.merge(ratings.rename(columns={"user": "friend"}), on="friend")
    counts = of_friends.groupby(["user", "item"], sort=False).size()
    often = counts.sort_values(ascending=False, kind="stable")
    users = lists(friendships, "friend", "friends")
    users = users.merge(lists(often.reset_index(), "item", "friends_items", FRIENDS_ITEMS), "left", "user")
    features: dict[str, dict] = {
        "friends": {"kind": "category", "refers": "user"},
        "friends_items": {"kind": "category", "min_count": 3},
    }
    events = tx.data.read_events(frame, users=users, user_features=features)
    return tx.data.by_time(events, valid_from=valid_from, test_from=test_from)


def lists(frame: pd.DataFrame, column: str, name: str, most: int | None = None) -> pd.DataFrame:
    """A row for each user with the list of its first values of a column."""
    values = frame.groupby("user", sort=False)[column].agg(lambda own: own.tolist()[:most])
    return values.rename(name).reset_index()


def compare(
    settings: Settings, parts: Parts, fields: Fields, epochs: int, batch: int, scorer: str
) -> dict[str, tx.evaluation.Report]:
    """Trains a retriever for each choice of query fields, and evaluates it beside the baselines."""
    import torch

    train, valid, test = parts
    reports: dict[str, tx.evaluation.Report] = {}
    for name, query_fields in fields.items():
        torch.manual_seed(settings.seed)
        model = tx.models.TwoTower(train.schema, settings.dim, "mean_pool", query_fields, scorer=scorer)
        trained = tx.training.fit(
            model, train, valid, epochs=epochs, optimization=Optimization(global_batch_size=batch),
            seed=settings.seed, device=settings.device,
        )  # fmt: skip
        if not reports:
            for baseline in (tx.evaluation.baselines.popularity, tx.evaluation.baselines.item_knn):
                reports[baseline.__name__] = baseline(trained, train + valid, test, k=10, per_user=True)
        reports[name] = tx.evaluation.evaluate(trained, train + valid, test, k=10, per_user=True)
    return reports


def of_friends(popular: tx.evaluation.Report, parts: Parts) -> pd.DataFrame:
    """NDCG@10 of lists that no model has learnt: what most friends have events with, then popular items."""
    known = (parts[0] + parts[1]).table_part()
    assert known.users is not None
    pairs = set(known.frame[["user", "item"]].itertuples(index=False, name=None))
    own = known.users.set_index("user")["friends_items"].dropna()
    users = per_user(popular, "targets", "list")
    gains = 1 / np.log2(np.arange(2, 12))
    for row, (user, _, targets, best) in users.iterrows():
        listed = [item for item in dict.fromkeys([*own.get(user, ()), *best]) if (user, item) not in pairs]
        hits = np.isin(listed[:10], targets)
        users.loc[row, "ndcg@10"] = gains[: len(hits)][hits].sum() / gains[: len(targets)].sum()
    return users


def per_user(report: tx.evaluation.Report, *columns: str) -> pd.DataFrame:
    """A row for each user of a report."""
    assert report.per_user is not None
    return report.per_user.users.select(["user", "known", *columns]).to_pandas()


def by_known_events(found: Mapping[str, pd.DataFrame], social: set, few: int) -> dict[str, dict[str, float]]:
    """NDCG@10 of all users and of segments of them, and how many users there are."""
    means = {}
    for name, users in found.items():
        has = users["user"].isin(social)
        segments = {
            "all": has | True,
            "friends, no event": has & (users["known"] == 0),
            f"friends, 1 to {few} events": has & users["known"].between(1, few),
            f"friends, over {few} events": has & (users["known"] > few),
            "no friends": ~has,
        }
        means[name] = {segment: users.loc[mask, "ndcg@10"].mean() for segment, mask in segments.items()}
        sizes = {segment: float(mask.sum()) for segment, mask in segments.items()}
    return {"users": sizes, **means}


if __name__ == "__main__":
    run_recipe(main, Settings)
