"""Tables grow without moving a row: old rows keep weights and optimizer state, new ones are initial ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import processes
from tests.shards import held, joined
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.models import Ranker
from torchrec_ext.schema import DenseFeature, Feature, Schema, Table
from torchrec_ext.training.checkpoint import load_training_state, save_checkpoint
from torchrec_ext.training.optimizers import make_optimizer

ROWS = {"user": (61, 90), "item": (5, 31), "user_kind": (3, 3)}
"""Rows before and after; 31 rows on two ranks are 16 and 15, so that those of the second are all new."""
SHARDINGS = {
    "row-wise": ("row_wise", "row_wise"),
    "table-wise": ("table_wise", "table_wise"),
    "row-wise, then table-wise": ("row_wise", "table_wise"),
    "table-wise, then row-wise": ("table_wise", "row_wise"),
    "on every rank": ("data_parallel", "data_parallel"),
}


class NoPreparation:
    """Stands in for a preparation in a checkpoint."""

    def save(self, folder: Path) -> None:
        folder.mkdir()


def schema_of(when: int) -> Schema:
    tables = tuple(Table(name, rows[when]) for name, rows in ROWS.items())
    features = (
        Feature("user", "user", "user", "user"),
        Feature("item", "item", "item", "item"),
        Feature("user_kind", "user_kind", "user", "kind"),
    )
    return Schema(tables, features, (DenseFeature("user_age", "user", "age"),))


def sharded(when: int, kind: str):
    """A ranker with all its tables sharded in one way, and its optimizer."""
    torch.manual_seed(when)
    model = Ranker(schema_of(when), 8)
    names = ("user", "item") if kind != "data_parallel" else ROWS
    dmp = shard(model, sharding={t + s: kind for t in names for s in ("", "_first_order")})
    initialise_tables(model, seed=3)
    return model, make_optimizer(dmp, 0.01)


def state_of(model, optimizer) -> dict[str, Tensor]:
    return held({"model": model.state_dict(), "optimizer": optimizer.state_dict()["state"]})


def save(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Checkpoints of the small tables, whose weights and optimizer state tell their rows apart."""
    join_group()
    saved = {}
    for name, (kind, _) in SHARDINGS.items():
        model, optimizer = sharded(0, kind)
        whole = state_of(model, optimizer)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()["state"]}
        with torch.no_grad():
            for part in local_parts(state):
                part.copy_(torch.randn(part.shape) if part.is_floating_point() else part)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state["optimizer"]})
        save_checkpoint(folder / name, 1, model, optimizer, NoPreparation(), {}, {})
        saved[name] = state_of(model, optimizer)
        assert saved[name].keys() == whole.keys()
    return saved


def local_parts(state) -> list[Tensor]:
    if isinstance(state, Tensor) and not hasattr(state, "local_shards"):
        return [state]
    if hasattr(state, "local_shards"):
        return [local.tensor for local in state.local_shards()]
    return [part for value in state.values() for part in local_parts(value)]


IDLE = {"user": np.array([1, 40, 60]), "item": np.array([2])}
"""Rows that are taken back."""


def grow(folder: Path, idle=None) -> dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """The states of grown models before and after the checkpoint was read."""
    join_group()
    grown = {}
    for name, (_, kind) in SHARDINGS.items():
        model, optimizer = sharded(1, kind)
        fresh = state_of(model, optimizer)
        step = folder / name / "checkpoints" / "step-00000001"
        load_training_state(step, model, optimizer, grows=True, idle=idle)
        grown[name] = fresh, state_of(model, optimizer)
    return grown


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def saved(folder) -> dict[str, dict[str, Tensor]]:
    return save(folder)


@pytest.fixture(scope="module")
def alone(folder, saved) -> dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]]:
    return grow(folder)


@pytest.fixture(scope="module")
def on_two(folder, saved) -> list[dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]]]:
    return processes.run(grow, folder)


def expect_grown(before: dict[str, Tensor], fresh: dict[str, Tensor], after: dict[str, Tensor]) -> None:
    assert before.keys() == fresh.keys() == after.keys()
    grown = 0
    for name, old in before.items():
        if old.dim() == 0:
            assert after[name].double() == old.double(), name
            continue
        count = len(old)
        assert torch.equal(after[name][:count].double(), old.double()), name
        assert torch.equal(after[name][count:], fresh[name][count:]), name
        grown += len(after[name]) > count
    assert grown >= 8  # weights and state of four tables


@pytest.mark.parametrize("name", SHARDINGS)
def test_old_rows_stay_and_new_ones_are_as_from_the_start(name, saved, alone):
    fresh, after = alone[name]
    expect_grown(saved[name], fresh, after)
    initial = after["model/embeddings.bags.embedding_bags.user.weight"][61:]
    assert initial.any() and initial.std() == pytest.approx(8**-0.5, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARDINGS)
def test_two_ranks_grow_what_one_saved(name, saved, on_two):
    fresh, after = (joined([rank[name][place] for rank in on_two]) for place in (0, 1))
    expect_grown(saved[name], fresh, after)


def expect_taken_back(before, fresh, after) -> None:
    taken = 0
    for name, old in before.items():
        path = name.split("/")[1].split(".")
        rows = IDLE.get(path[-2].removesuffix("_first_order")) if old.dim() else None
        if rows is not None:
            assert torch.equal(after[name][rows], fresh[name][rows]), name
            others = np.setdiff1d(np.arange(len(old)), rows)
            assert torch.equal(after[name][others].double(), old[others].double()), name
            taken += 1
    assert taken >= 8


def test_rows_that_are_taken_back_are_initial_ones_again(folder, saved):
    for name, (fresh, after) in grow(folder, IDLE).items():
        expect_taken_back(saved[name], fresh, after)


@pytest.mark.slow
def test_two_ranks_take_back_the_same_rows(folder, saved):
    ranks = processes.run(grow, folder, IDLE)
    for name, before in saved.items():
        fresh, after = (joined([rank[name][place] for rank in ranks]) for place in (0, 1))
        expect_taken_back(before, fresh, after)


def test_tables_that_cannot_grow_are_named(folder, saved):
    def load(**rows: int) -> None:
        torch.manual_seed(0)
        schema = schema_of(1)
        tables = tuple(replace(t, rows=rows.get(t.name, t.rows)) for t in schema.tables)
        model = Ranker(replace(schema, tables=tables), 8 + 4 * ("wide" in rows))
        optimizer = make_optimizer(shard(model), 0.01)
        load_training_state(
            folder / "row-wise" / "checkpoints" / "step-00000001", model, optimizer, grows=True
        )

    with pytest.raises(
        InputError, match=r"user.weight was saved in the size \(61, 8\) and cannot become \(60, 8\)"
    ):
        load(user=60)
    with pytest.raises(InputError, match="cannot become"):
        load(wide=1)
