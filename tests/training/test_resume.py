"""A run that goes on does what an unbroken one does."""

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch

from tests import processes
from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.distributed import join_group
from torchrec_ext.errors import InputError
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.training import Checkpoints, Optimization, fit

KINDS: dict[str, dict[str, str]] = {
    "retriever": {},
    "retriever with copies of the item table": {"item": "data_parallel"},
    "retriever, column-wise": {"item": "column_wise"},
    "ranker": {},
}
"""Kind of model and its sharding."""


class Interrupted(Exception):
    pass


def train(
    run: Path | None,
    kind: str,
    *,
    stop_after: int | None = None,
    checkpoint_every: int | None = None,
    warmup_steps: int | None = None,
    **settings: object,
) -> list[float]:
    """Losses by step, with dropout on; ends as if killed after step ``stop_after``."""
    parts = leave_last_out(small_world())
    torch.manual_seed(0)
    if kind == "ranker":
        model: torch.nn.Module = Ranker(parts[0].schema, 8, interaction="concat", over_arch=(8,))
        model.arch.over = torch.nn.Sequential(model.arch.over, torch.nn.Dropout(0.5))
    else:
        model = TwoTower(parts[0].schema, 8, "gru", ("user",))
    losses: list[float] = []

    def on_step(step: int, loss: float) -> None:
        losses.append(loss)
        if step == stop_after:
            raise Interrupted

    settings = {"sharding": KINDS[kind], **settings}
    if run is not None:
        settings["checkpoints"] = Checkpoints(every=checkpoint_every)
    try:
        with mock.patch("torchrec_ext.training.progress.draw_curves"):
            fit(
                model,
                parts[0],
                parts[1],
                output=run,
                progress=False,
                on_step=on_step,
                optimization=Optimization(
                    global_batch_size=129 if kind == "ranker" else 13, warmup_steps=warmup_steps
                ),
                loss=None if kind == "ranker" else SoftmaxCrossEntropy("sampled", num_sampled=8),
                **settings,
            )
    except Interrupted:
        pass
    return losses


def unbroken_and_resumed(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """For each kind the losses of an unbroken run, and of one that went on after and within an epoch."""
    join_group()
    found = {}
    for kind in KINDS:
        whole = train(None, kind, epochs=3)
        steps = len(whole) // 3
        parts = train(folder / kind, kind, epochs=1)
        assert len(parts) == steps
        # the checkpoint is that of the second step of the second epoch
        parts += train(folder / kind, kind, epochs=3, resume=True, checkpoint_every=2, stop_after=steps + 2)[
            :2
        ]
        parts += train(folder / kind, kind, epochs=3, resume=True)
        found[kind] = whole, parts
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, tuple[list[float], list[float]]]:
    return unbroken_and_resumed(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def together(shared_folder) -> list[dict[str, tuple[list[float], list[float]]]]:
    return processes.run(unbroken_and_resumed, shared_folder)


@pytest.mark.parametrize("kind", KINDS)
def test_one_process(kind, alone):
    whole, parts = alone[kind]
    assert len(whole) > 10
    assert parts == whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes(kind, together):
    for rank in together:
        whole, parts = rank[kind]
        assert parts == whole


def test_a_run_goes_on_within_its_warm_up(tmp_path):
    """The learning rate is that of the step, not the one that the optimizer had when it was saved."""
    whole = train(None, "retriever", epochs=1)
    first = train(
        tmp_path, "retriever", epochs=1, checkpoint_every=1, resume=True, stop_after=1, warmup_steps=4
    )
    assert first[1] != whole[1], "four steps of warm-up are not what the default is here"
    slowly = train(None, "retriever", epochs=2, warmup_steps=4)
    parts = first[:1] + train(tmp_path, "retriever", epochs=2, resume=True, warmup_steps=4)
    assert parts == slowly
    means = np.array(slowly).reshape(2, -1).mean(1)
    assert pd.read_csv(tmp_path / "history.csv")["train_loss"].to_numpy() == pytest.approx(means)


@pytest.mark.slow
def test_column_wise_optimizer_state_is_refused_in_another_sharding(together, shared_folder):
    """Its rows have a value for each rank's columns, so that it has another form than row-wise has."""
    run = shared_folder / "retriever, column-wise"
    with pytest.raises(InputError, match="does not fit the model: .* sharding types it was trained with"):
        train(run, "retriever", epochs=4, resume=True, sharding={"item": "row_wise"})


def test_the_history_and_the_best_epoch_are_carried_on(tmp_path):
    train(tmp_path / "whole", "retriever", epochs=3)
    train(tmp_path / "again", "retriever", epochs=2)
    train(tmp_path / "again", "retriever", epochs=3, resume=True)
    whole, again = (
        pd.read_csv(tmp_path / name / "history.csv").drop(
            columns=["seconds", "samples_per_second", "data_share"]
        )
        for name in ("whole", "again")
    )
    pd.testing.assert_frame_equal(whole, again)
    assert again["epoch"].tolist() == [1, 2, 3]
    best = [(tmp_path / name / "checkpoints" / "best").read_text() for name in ("whole", "again")]
    assert best[0] == best[1]


def test_where_there_is_no_checkpoint_the_run_begins_and_a_finished_one_trains_no_further(tmp_path):
    assert train(tmp_path / "new", "retriever", epochs=1, resume=True)
    assert train(tmp_path / "new", "retriever", epochs=1, resume=True) == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("finished")
    train(run, "retriever", epochs=1)
    return run


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 1}, "was started with seed 0, now it is 1, so it cannot continue at the exact next batch"),
        ({"kind": "ranker"}, "trains another model"),
        ({"size": 20}, "was started with global_batch_size 13, now it is 20"),
        ({"resume": False}, "contains a run; pass resume=True, or choose another folder"),
        ({"items": 25}, r"has another schema \(tables: Table\(name='item', rows=26\) here, "),
        ({"users": 50}, r"has another schema \(tables: Table\(name='user', rows=51\) here, "),
        ({"world": 1}, "the data gives the ids of table 'item' other rows than the model was trained with"),
        ({"sharding": {"item": "data_parallel"}}, "does not fit the model: .*sharding types"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_go_on_is_explained(finished, settings, message):
    sizes = settings.pop("users", 60), settings.pop("items", 30)
    world = small_world(*sizes, seed=settings.pop("world", 0))
    parts = leave_last_out(world)
    model = TwoTower(parts[0].schema, 8, "gru", ("user",))
    if settings.pop("kind", "") == "ranker":
        model = Ranker(parts[0].schema, 8)
    with pytest.raises(InputError, match=message):
        fit(
            model,
            parts[0],
            parts[1],
            epochs=2,
            output=finished,
            progress=False,
            optimization=Optimization(global_batch_size=settings.pop("size", 13)),
            **{"resume": True, **settings},
        )


def test_the_position_is_plain_json(finished):
    (position,) = finished.glob("checkpoints/step-*/position.json")
    state = json.loads(position.read_text())
    assert (state["epoch"], state["step"], state["epochs_without_improvement"]) == (1, 0, 0)
    assert state["best"] == state["history"][0]["valid_ndcg@10"]
