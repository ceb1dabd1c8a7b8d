import sys
import warnings
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests.shards import assert_equal, held
from tests.worlds import small_world
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.distributed import shard
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.training import Checkpoints, EarlyStopping, Optimization, find_checkpoint, fit, load
from torchrec_ext.training.validation_monitor import ValidationMonitor

TRAIN, VALID, TEST = leave_last_out(small_world())
OTHER = leave_last_out(small_world(items=25))[0]
QUICK = {"optimization": Optimization(global_batch_size=32), "progress": False}


@pytest.mark.parametrize("kept", ["in memory", "in checkpoints"])
def test_early_stopping_brings_the_best_epoch_back(tmp_path, kept):
    figures = iter([0.1, 0.5, 0.4, 0.5, 0.3, 0.9])
    weights: list[dict[str, torch.Tensor]] = []

    def validate(monitor: ValidationMonitor) -> dict[str, float]:
        weights.append(held(monitor.trained.module.state_dict()))
        return {monitor.column: next(figures)}

    model = TwoTower(TRAIN.schema, 8, "gru", ("user",))
    output = None if kept == "in memory" else tmp_path
    with mock.patch.object(ValidationMonitor, "validate", validate):
        trained = fit(
            model, TRAIN, VALID, epochs=9, output=output, early_stopping=EarlyStopping(patience=3), **QUICK
        )
    assert len(weights) == 5, "three epochs without a better one end the run"
    assert trained.epochs == 5 and trained.module is model
    assert_equal(held(model.state_dict()), weights[1])
    assert not torch.equal(
        weights[1]["towers.query_tower.project.weight"], weights[4]["towers.query_tower.project.weight"]
    )
    assert list(tmp_path.iterdir()) == [] if output is None else (tmp_path / "history.csv").is_file()
    if output is not None:
        assert_equal(held(load(tmp_path).module.state_dict()), weights[1])


def test_what_a_run_writes(tmp_path):
    steps: list[int] = []
    trained = fit(
        TwoTower(TRAIN.schema, 8, "gru"), TRAIN, VALID, epochs=2, output=tmp_path / "runs" / "one",
        on_step=lambda step, loss: steps.append(step), **QUICK,
    )  # fmt: skip
    run = tmp_path / "runs" / "one"
    history = pd.read_csv(run / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert {"train_loss", "valid_ndcg@10", "valid_hr@10", "samples_per_second", "seconds"} <= {
        *history.columns
    }
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((run / "tensorboard").glob("events*"))
    assert {p.name for p in (run / "checkpoints").iterdir()} >= {"latest", "best"}
    assert steps == list(range(4))
    assert not trained.module.training and trained.preparation is TRAIN.preparation
    assert trained.run == run and trained.checkpoint == find_checkpoint(run, "best") and trained.seconds > 0
    pd.testing.assert_frame_equal(trained.history, history)
    assert trained.examples_per_second == pytest.approx(history["samples_per_second"].mean())
    assert trained.settings["optimization"]["global_batch_size"] == 32
    again = load(run)
    assert (again.run, again.checkpoint) == (trained.run, trained.checkpoint)
    assert again.settings == trained.settings
    pd.testing.assert_frame_equal(again.history, trained.history)
    assert again.epochs == trained.epochs == 2 and len(repr(again)) < 200


def test_a_rankers_history_has_the_figures_of_both_parts(tmp_path):
    with mock.patch("torchrec_ext.training.progress.draw_curves"):
        fit(Ranker(TRAIN.schema, 8), TRAIN, VALID, epochs=2, output=tmp_path, **QUICK)
    history = pd.read_csv(tmp_path / "history.csv")
    columns = {"train_loss", "train_auc", "train_accuracy", "valid_loss", "valid_auc", "valid_accuracy"}
    assert columns <= {*history.columns}
    assert history["train_auc"].iloc[1] > history["train_auc"].iloc[0]


def test_the_last_validation_is_what_evaluate_finds():
    model = TwoTower(TRAIN.schema, 8, GRU(8))
    rows: list[dict[str, float]] = []
    validate = ValidationMonitor.validate
    with mock.patch.object(ValidationMonitor, "validate", lambda m: rows.append(validate(m)) or rows[-1]):
        trained = fit(model, TRAIN, VALID, epochs=2, early_stopping=EarlyStopping(monitor="hr@3"), **QUICK)
    best = max(rows, key=lambda row: row["valid_hr@3"])
    found = evaluate(trained, TRAIN, VALID, k=(3,))
    assert best == {f"valid_{name}": found[name] for name in found if name not in ("users", "items")}


def test_the_seed_decides_and_bfloat16_is_close():
    losses: dict[str, list[float]] = {}
    for name, settings in {
        "one": {"seed": 1}, "again": {"seed": 1}, "other": {"seed": 2},
        "narrow": {"seed": 1, "optimization": Optimization(32, precision="bfloat16")},
    }.items():  # fmt: skip
        torch.manual_seed(0)
        model = TwoTower(TRAIN.schema, 8, "gru")
        losses[name] = []
        fit(
            model, TRAIN, epochs=2, on_step=lambda _, loss, own=losses[name]: own.append(loss),
            **{**QUICK, **settings},
        )  # fmt: skip
    assert losses["one"] == losses["again"] != losses["other"]
    assert losses["narrow"] != losses["one"]
    assert losses["narrow"] == pytest.approx(losses["one"], abs=0.05)


@pytest.mark.parametrize("candidates", ["catalogue", "sampled", "in_batch"])
def test_every_kind_of_candidates_learns(candidates):
    torch.manual_seed(0)
    model = TwoTower(TRAIN.schema, 16, GRU(16, dropout=0.0))
    trained = fit(
        model,
        TRAIN,
        epochs=6,
        progress=False,
        optimization=Optimization(learning_rate=0.01, table_learning_rate=0.1, global_batch_size=16),
        loss=SoftmaxCrossEntropy(candidates=candidates, num_sampled=20),
    )
    assert evaluate(trained, TRAIN + VALID, TEST, k=(10,))["ndcg@10"] > 0.5, "a guess has .15"


def test_replicated_tables_train_for_more_than_one_epoch():
    losses: list[float] = []
    model = TwoTower(TRAIN.schema, 8, "gru")
    fit(
        model, TRAIN, epochs=3, sharding={"item": "data_parallel"},
        on_step=lambda step, loss: losses.append(loss), **QUICK,
    )  # fmt: skip
    assert len(losses) == 6 and losses[-1] < losses[0]


def test_a_model_in_evaluation_mode_trains_too():
    losses: list[float] = []
    fit(
        TwoTower(TRAIN.schema, 8, "gru").eval(), TRAIN, epochs=3, on_step=lambda _, loss: losses.append(loss),
        **QUICK,
    )  # fmt: skip
    assert losses[-1] < losses[0]


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    model = TwoTower(TRAIN.schema, 8, GRU(8))
    with torch.no_grad():
        model.query_tower.encoder.recurrence.weight_ih_l0.fill_(torch.nan)
    with pytest.raises(
        InputError, match="the loss is nan at step 0; lower learning_rate or table_learning_rate"
    ):
        fit(model, TRAIN, VALID, output=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("sharding", [{}, {"user": "data_parallel"}])
def test_a_model_that_was_trained_is_refused(sharding):
    model = TwoTower(TRAIN.schema, 8)
    fit(model, TRAIN, epochs=1, sharding=sharding, **QUICK)
    with pytest.raises(
        InputError, match="the model was trained or sharded already; build a new one, or resume its run"
    ):
        fit(model, TRAIN, epochs=1, **QUICK)


def test_a_model_that_is_sharded_is_refused():
    model = TwoTower(TRAIN.schema, 8)
    shard(model)
    with pytest.raises(InputError, match="the model was trained or sharded already"):
        fit(model, TRAIN, epochs=1, **QUICK)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs should be at least 1, received 0"),
        ({"checkpoints": Checkpoints(every=5)}, "resume and checkpoints need output"),
        ({"resume": True}, "resume and checkpoints need output"),
        ({"early_stopping": EarlyStopping(monitor="auc")}, "monitor should be one of mrr, .*received 'auc'"),
        ({"loss": "softmax_cross_entropi"}, "no losses named .* did you mean 'softmax_cross_entropy'"),
        ({"loss": BinaryCrossEntropy}, "loss is a BinaryCrossEntropy, but a TwoTower needs a contracts.Retr"),
        ({"loss": nn.CrossEntropyLoss()}, "CrossEntropyLoss is not a contracts.RetrievalLoss or Rank"),
        ({"epochs": 1.5}, "epochs should be a whole number, received 1.5"),
        ({"prefetch": 4 * 10**18}, "prefetch should be at most 1,000 batches, received 4,000,000,"),
        ({"seed": 2**63}, "seed should be below .*, received 9223372036854775808"),
        (
            {"optimization": {"learning_rate": 0.1}},
            r"optimization should be training.Optimization\(...\), rec",
        ),
        (
            {"loss": lambda logits, labels, log_q: logits.mean()},
            r"the losses should be \(\d+,\), received \(\)",
        ),
        (
            {"loss": lambda logits, labels, log_q: logits},
            r"the losses should be \(\d+,\), received \(\d+, 30\)",
        ),
        (
            {"train": leave_last_out(small_world(items=25))[0], "valid": None},
            "the model was built for the schema",
        ),
        ({"loss": lambda logits, labels: logits}, r"loss should take \(logits_NC, labels_N, log_q_C\), "),
        ({"loss": 3}, "loss should be a name, a class, a module or a function; received int"),
        ({"train": small_world()}, r"train should be a part of a split .* received Events"),
        ({"valid": small_world()}, r"valid should be a part of a split .* received Events"),
        ({"sharding": {"itme": "row_wise"}}, "table 'itme', which the model does not have; it has item"),
        ({"device": "gpu"}, "device must be cpu or cuda, received 'gpu'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(InputError, match=message):
        fit(TwoTower(TRAIN.schema, 8, "gru"), **{"train": TRAIN, "valid": VALID, **QUICK, **settings})


@pytest.mark.parametrize(
    ("group", "settings", "message"),
    [
        (EarlyStopping, {"patience": 0}, "patience should be at least 1, received 0"),
        (EarlyStopping, {"patience": float("nan")}, "patience should be a whole number, received nan"),
        (Checkpoints, {"keep": 0}, "keep should be at least 1, received 0"),
        (Checkpoints, {"every": 0}, "every should be at least 1, received 0"),
        (Optimization, {"global_batch_size": 0}, "global_batch_size should be at least 1, received 0"),
        (Optimization, {"precision": "float16"}, "precision should be 'float32' or 'bfloat16', received 'f"),
        (Optimization, {"learning_rate": float("nan")}, "learning_rate should be a finite number"),
        (
            Optimization,
            {"table_learning_rate": -1.0},
            "table_learning_rate should be at least 0, received -1",
        ),
        (
            SoftmaxCrossEntropy,
            {"candidates": "some"},
            "candidates should be 'catalogue' or .* received 'some",
        ),
        (SoftmaxCrossEntropy, {"num_sampled": 0}, "num_sampled should be at least 1, received 0"),
    ],
)
def test_groups_of_settings_check_themselves(group, settings, message):
    with pytest.raises(InputError, match=message):
        group(**settings)


def test_data_and_models_that_cannot_be_used():
    with pytest.raises(InputError, match="model must be a contracts.Retriever .* received a Linear"):
        fit(nn.Linear(2, 1), TRAIN, **QUICK)
    with pytest.raises(InputError, match="train and valid come from two splits"):
        fit(TwoTower(TRAIN.schema, 8), TRAIN, leave_last_out(small_world())[1], **QUICK)
    with pytest.raises(InputError, match=r"every rating of the train part is at least positive=0"):
        fit(Ranker(TRAIN.schema, 8), TRAIN, positive=0.0, **QUICK)


def test_several_thresholds_are_several_tasks():
    losses: list[float] = []
    model = Ranker(TRAIN.schema, 8, tasks=2)
    trained = fit(model, TRAIN, VALID, positive=(4, 5), on_step=lambda _, loss: losses.append(loss), **QUICK)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert evaluate(trained, TRAIN, VALID) == evaluate(trained, TRAIN, VALID, positive=(4, 5))
    both, first = evaluate(trained, TRAIN, VALID), evaluate(trained, TRAIN, VALID, positive=4)
    assert {name: both[name] for name in first} == dict(first) and len(both) > len(first)
    with pytest.raises(InputError, match=r"the model has 2 task\(s\), but positive has 1 threshold"):
        fit(Ranker(TRAIN.schema, 8, tasks=2), TRAIN, **QUICK)


def test_first_weights_of_the_tables_are_those_of_the_seed():
    """Whatever the process drew before."""
    first = []
    for drawn in (0, 7):
        torch.manual_seed(3)
        model = TwoTower(TRAIN.schema, 8)
        torch.rand(drawn)
        untrained = mock.patch.object(
            sys.modules["torchrec_ext.training.train_epochs"],
            "train_epoch",
            return_value={"samples_per_second": 0},
        )
        with untrained:
            fit(model, TRAIN, epochs=1, seed=5, **QUICK)
        first.append(held(model.state_dict()))
    assert_equal(*first)
    item = first[0]["embeddings.events.embeddings.item.weight"]
    assert (item[0] == 0).all() and abs(item[1:].std() * np.sqrt(8) - 1) < 0.2


def test_validation_may_keep_seen_items():
    """Of users who go round three items each target was seen before: no list can hold it otherwise."""
    rows = [(user, place % 3, place) for user in range(8) for place in range(9)]
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    train, valid, _ = leave_last_out(read_events(frame))
    found = {}
    for exclude_seen in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trained = fit(
                TwoTower(train.schema, 4), train, valid, epochs=1, exclude_seen=exclude_seen, **QUICK
            )
        found[exclude_seen] = trained.history["valid_hr@3"].iloc[0]
    assert found == {True: 0.0, False: 1.0}
