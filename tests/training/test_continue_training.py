"""continue_training(): later events, users and items are learnt, on one process and on two."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import torchrec_ext as tx
from tests import processes
from tests.shards import assert_equal, held
from tests.worlds import small_world
from torchrec_ext.data import Events
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.training import Optimization, continue_training, fit, load
from torchrec_ext.training.new_events import new_events

QUIET = {"progress": False}


def world() -> tuple[Events, Events]:
    """Early events of users 1 to 40 and items below 126; and all others, with 20 more users and 5 items."""
    events = small_world()
    known = (events.frame["user"] <= 40) & (events.frame["item"] < 126)
    known &= events.frame["timestamp"] < events.frame["timestamp"].quantile(0.8)
    return events.take(known.to_numpy()), events.take(~known.to_numpy())


def model_for(kind: str, schema) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "ranker":
        return Ranker(schema, 8)
    if kind == "fields":
        return TwoTower(schema, 8, None, ("user", "context_device"), ("item_genres", "item_price"))
    return TwoTower(schema, 8, GRU(8, dropout=0.0) if kind == "gru" else kind)


KINDS = ("gru", "bert4rec", "fields", "ranker")


def trained_on(known: Events, kind: str, output: Path, sharding: Mapping[str, str] | None = None):
    train, _, _ = tx.data.leave_last_out(known)
    loss = None if kind == "ranker" else SoftmaxCrossEntropy("catalogue")
    return fit(
        model_for(kind, train.schema), train, epochs=2, output=output, loss=loss, sharding=sharding,
        optimization=Optimization(global_batch_size=20), **QUIET,
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder, (known, _) = tmp_path_factory.mktemp("runs"), world()
    for kind in KINDS:
        trained_on(known, kind, folder / kind)
    return folder


@pytest.mark.parametrize("kind", ["gru", "ranker"])
def test_without_anything_new_it_is_a_longer_training(kind, tmp_path):
    train, _, _ = tx.data.leave_last_out(small_world())
    learnt = np.zeros(len(train.table), bool)
    learnt[train.log.source_rows[train.rows]] = True
    runs = {}
    for epochs in (1, 2):
        output = tmp_path / str(epochs)
        runs[epochs] = fit(model_for(kind, train.schema), train, epochs=epochs, output=output, **QUIET)
    more = continue_training(runs[1], train.table.take(learnt), **QUIET)
    assert_equal(held(more.module.state_dict()), held(runs[2].module.state_dict()))
    losses = [run.history["train_loss"].tolist() for run in (more, runs[2])]
    assert losses[0] == losses[1] and more.epochs == 2


@pytest.mark.parametrize("kind", KINDS)
def test_new_users_and_items_get_rows_and_are_learnt(kind, runs):
    known, later = world()
    before = load(runs / kind)
    old = held(before.module.state_dict())
    after = continue_training(before, later, known, epochs=3, **QUIET)
    for table, vocabulary in before.preparation.vocabularies.items():
        found = after.preparation.vocabularies[table].index
        assert list(found[: len(vocabulary.index)]) == list(vocabulary.index)
    assert [len(after.preparation.vocabularies[name]) for name in ("user", "item")] == [61, 31]
    trained = after.preparation.trained
    assert trained.items[1:].all() and trained.users[41:].all()
    assert after.epochs == 5 and after.history["train_loss"].iloc[-1] < after.history["train_loss"].iloc[2]
    assert_equal(held(before.module.state_dict()), old)  # the model before stays as it is
    users = [*range(1, 61)]
    assert set(range(126, 131)) & set(tx.retrieval.recommend(after, later, users, k=9)["item"])


def test_each_later_event_is_learnt_and_earlier_ones_are_read(runs):
    known, later = world()
    preparation = load(runs / "gru").preparation
    both = tx.data.join_events(known, later)
    part = new_events(preparation, both, np.arange(len(both)) >= len(known))
    targets = np.sort(part.log.source_rows[part.log.is_target()])
    assert part.table.frame.iloc[targets].equals(part.table.frame.iloc[len(part.table) - len(later) :])
    users = set(later.frame["user"])
    assert len(part.log) == both.frame["user"].isin(users).sum() > len(later)


def test_categories_and_side_features_of_later_events(tmp_path):
    heard = pd.DataFrame({"user": list("aaabbb"), "item": list("xyzxyz"), "device": ["tv", "pc"] * 3})
    kinds = pd.DataFrame({"item": list("xyz"), "kind": ["old", "old", "rare"], "price": [1.0, 2.0, 3.0]})
    read = {"context": ["device"]}
    known = tx.data.read_events(heard, items=kinds, **read)
    train, _, _ = tx.data.leave_last_out(known)
    model = TwoTower(train.schema, 4, None, ("user", "context_device"), ("item_kind", "item_price"))
    trained = fit(model, train, epochs=1, output=tmp_path / "run", **QUIET)
    sides = trained.preparation.sides["item"]

    new = pd.DataFrame({"user": ["a", "c"], "item": ["w", "w"], "device": ["phone", "tv"]})
    table = pd.DataFrame({"item": ["w"], "kind": ["new"], "price": [2.0]})
    with_table = continue_training(trained, tx.data.read_events(new, items=table, **read), known, **QUIET)
    without = continue_training(trained, tx.data.read_events(new, **read), **QUIET)
    for grown, kind in ((with_table, ["old", "new"]), (without, ["old"])):
        vocabularies = grown.preparation.vocabularies
        assert list(vocabularies["context_device"].index) == ["tv", "pc", "phone"]
        assert list(vocabularies["item_kind"].index) == kind
        found = grown.preparation.sides["item"]
        assert found.categorical["item_kind"][:4].tolist() == sides.categorical["item_kind"].tolist()
        assert found.dense["item_price"][:4].tolist() == sides.dense["item_price"].tolist()
        assert found.categorical["item_kind"][4] == len(kind) * (len(kind) > 1)
    price = with_table.preparation.sides["item"].dense["item_price"]
    assert price[4] == price[2]


def test_idle_users_and_items_become_unknown_and_new_ones_take_their_rows(tmp_path):
    day = 86_400
    heard = {"user": list("aaabbbccc"), "item": list("xyzyzwyzx"), "timestamp": [*range(9)]}
    known = tx.data.read_events(pd.DataFrame(heard).assign(timestamp=lambda f: f["timestamp"] * day))
    train, _, _ = tx.data.leave_last_out(known)
    model = TwoTower(train.schema, 4, None, ("user",))
    trained = fit(model, train, epochs=1, output=tmp_path / "run", **QUIET)
    assert list(trained.preparation.vocabularies["item"].index) == list("xyzw")
    new = {"user": list("ddc"), "item": list("vvz"), "timestamp": [10 * day] * 3}
    later = tx.data.read_events(pd.DataFrame(new))
    # the last event of a was on day 2, of b on day 5; of w on day 5
    after = continue_training(trained, later, known, evict_after="4 days", **QUIET)
    vocabularies = after.preparation.vocabularies
    assert list(vocabularies["user"].index) == ["d", "b", "c"]  # in the row of a; b has no row to give
    assert list(vocabularies["item"].index) == ["x", "y", "z", "v"]
    assert list(after.preparation.trained.users) == [False, True, False, True]
    lists = tx.retrieval.recommend(after, tx.data.join_events(known, later), list("abcd"), k=2)
    sources = dict(zip(lists["user"], lists["source"], strict=True))
    assert sources == {"a": "popular", "b": "popular", "c": "model", "d": "model"}
    assert "w" not in set(lists["item"])
    same = continue_training(trained, later, known, evict_after="400 days", **QUIET)
    assert list(same.preparation.vocabularies["item"].index) == list("xyzwv")
    with pytest.raises(InputError, match="evict_after needs the known events"):
        continue_training(trained, later, evict_after="4 days", **QUIET)
    with pytest.raises(InputError, match="evict_after should be more than 0 seconds"):
        continue_training(trained, later, known, evict_after=0, **QUIET)


def test_rows_are_those_of_prepared_data_that_the_same_events_were_added_to(tmp_path):
    bare = small_world(features=False)
    early = (bare.frame["user"] <= 40) & (bare.frame["item"] < 126)
    train, _, _ = tx.data.prepare(bare.frame[early], tmp_path / "data")
    trained = fit(TwoTower(train.schema, 8, "gru"), train, epochs=1, output=tmp_path / "run", **QUIET)
    more = tx.data.read_events(bare.frame[~early])
    grown = continue_training(trained, more, train.table, **QUIET)
    train, valid, test = tx.data.append(tmp_path / "data", more)
    for table, vocabulary in train.preparation.vocabularies.items():
        assert vocabulary.index.equals(grown.preparation.vocabularies[table].index)
    assert tx.evaluation.evaluate(grown, train + valid, test, k=5)["users"] == 60


def test_a_run_goes_on_in_its_folder_or_in_another_one(runs, tmp_path):
    known, later = world()
    first = continue_training(load(runs / "gru"), later, known, output=tmp_path / "run", **QUIET)
    both = tx.data.join_events(known, later)
    visits = {"user": [1, 99], "item": [140, 101], "timestamp": [1.7e9, 1.7e9], "rating": [5, 5.0]}
    visits = pd.DataFrame(visits).assign(device="phone", hour=3.0)
    more = tx.data.read_events(visits, context=["device", "hour"])
    second = continue_training(first, more, both, output=tmp_path / "run", **QUIET)
    opened = load(tmp_path / "run")
    assert opened.checkpoint == second.checkpoint and opened.epochs == second.epochs == 4
    assert_equal(held(opened.module.state_dict()), held(second.module.state_dict()))
    assert opened.preparation.vocabularies["item"].rows([140, 101]).tolist() == [
        31, first.preparation.vocabularies["item"].rows([101])[0]
    ]  # fmt: skip
    assert load(first.checkpoint).epochs == 3
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")) == 4
    with pytest.raises(InputError, match="contains another run"):
        continue_training(load(runs / "ranker"), later, known, output=tmp_path / "run", **QUIET)


def test_what_it_cannot_do_is_said_in_one_line(runs, tmp_path):
    known, later = world()
    train, _, _ = tx.data.leave_last_out(known)
    without = fit(TwoTower(train.schema, 4), train, epochs=1, **QUIET)
    with pytest.raises(InputError, match="no checkpoint.*output=FOLDER"):
        continue_training(without, later, known)
    words = tx.data.read_events(pd.DataFrame({"user": ["ann"], "item": ["x"]}))
    bare = tx.data.read_events(pd.DataFrame({"user": [1], "item": [101]}))
    with pytest.raises(InputError, match="lack the column 'timestamp'"):
        continue_training(load(runs / "gru"), bare, known)
    with pytest.raises(InputError, match="must be of the vocabulary's kind, such as"):
        continue_training(load(runs / "gru"), words)

    def my_loss(logits, labels, log_q):
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    own = fit(TwoTower(train.schema, 4), train, epochs=1, loss=my_loss, output=tmp_path / "own", **QUIET)
    with pytest.raises(InputError, match=r"a loss of its own \(.*my_loss\); pass it as loss="):
        continue_training(own, later, known, **QUIET)
    assert continue_training(own, later, known, loss=my_loss, **QUIET).epochs == 2
    by_column = trained_on(known, "gru", tmp_path / "columns", {"item": "column_wise"})
    assert continue_training(by_column, known.take(np.arange(len(known)) > 200), **QUIET).epochs == 3


SHARDINGS = {
    "row-wise": {"item": "row_wise", "user": "row_wise"},
    "table-wise": {"item": "table_wise", "user": "table_wise"},
}


def go_on(folder: Path) -> dict[str, list[float]]:
    """Losses of a training that continues, from each run in a folder."""
    known, later = world()
    found: dict[str, list[float]] = {}
    for run in sorted(folder.iterdir()):
        for name, sharding in SHARDINGS.items():
            kind = run.name.partition(" ")[0]
            asked = {table: how for table, how in sharding.items() if kind != "gru" or table != "user"}
            losses = found.setdefault(f"{run.name} {name}", [])
            continue_training(
                load(run), later, known, epochs=2, sharding=asked,
                on_step=lambda step, loss, losses=losses: losses.append(loss), **QUIET,
            )  # fmt: skip
    return found


def start(folder: Path) -> None:
    known, _ = world()
    for kind in ("gru", "fields", "ranker"):
        sharding = {"item": "row_wise"} if kind == "gru" else SHARDINGS["row-wise"]
        trained_on(known, kind, folder / f"{kind} of two", sharding)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(runs, tmp_path):
    for kind in ("gru", "fields", "ranker"):
        (tmp_path / kind).symlink_to(runs / kind)
    processes.run(start, tmp_path)
    alone = go_on(tmp_path)
    first, second = processes.run(go_on, tmp_path)
    assert first == second and len(alone) == 12
    for name, losses in alone.items():
        assert len(losses) >= 6 and first[name] == pytest.approx(losses, abs=1e-3), name
