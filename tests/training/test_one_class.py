"""A validation part of one class: the log-loss is monitored, and evaluation has all figures but the AUC."""

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from tests import processes
from torchrec_ext.data import as_marked, read_events
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.evaluation.baselines import popularity
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import predict
from torchrec_ext.training import EarlyStopping, fit


def parts(valid_rating: int = 5):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 6, 40), "item": rng.integers(0, 5, 40)})
    frame["rating"] = np.where(np.arange(40) < 30, rng.integers(1, 6, 40), valid_rating)
    frame["split"] = ["train"] * 30 + ["valid"] * 5 + ["test"] * 5
    events = read_events(frame, columns={"split": "split"})
    return events, *as_marked(events)


def run(output=None) -> list[dict]:
    _, train, valid, _ = parts()
    torch.manual_seed(0)
    model = Ranker(train.schema, 4)
    trained = fit(model, train, valid, epochs=3, progress=False, output=output)
    return [{name: value for name, value in evaluate(trained, train, valid).items() if name != "auc"}]


@pytest.mark.parametrize(("rating", "words"), [(5, "at least"), (1, "below")])
@pytest.mark.parametrize("monitor", [None, "auc"])
def test_fit_monitors_the_log_loss_and_says_so_once(tmp_path, rating, words, monitor):
    _, train, valid, _ = parts(rating)
    torch.manual_seed(0)
    with pytest.warns(UserWarning) as told:
        fit(
            Ranker(train.schema, 4), train, valid, epochs=3, progress=False, output=tmp_path / "run",
            early_stopping=EarlyStopping(monitor=monitor),
        )  # fmt: skip
    told = [str(w.message) for w in told if "AUC" in str(w.message)]
    assert told == [
        f"every rating of the valid part is {words} positive=4, so it has no AUC; the log-loss is "
        "monitored instead"
    ]
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert len(history) == 3 and history["valid_auc"].isna().all() and history["valid_loss"].notna().all()


def test_another_figure_is_monitored_in_silence():
    _, train, valid, _ = parts()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        fit(
            Ranker(train.schema, 4),
            train,
            valid,
            epochs=1,
            progress=False,
            early_stopping=EarlyStopping(monitor="rmse"),
        )


def test_evaluation_has_the_other_figures():
    events, train, valid, test = parts()
    model = fit(Ranker(train.schema, 4), train, epochs=1, progress=False)
    report = evaluate(model, train + valid, test)
    scores = predict(model, events, events.frame.iloc[test.events.source_rows])["score"].to_numpy()
    assert math.isnan(report["auc"])
    assert report["log_loss"] == pytest.approx(-np.log(scores).mean(), abs=1e-6)
    assert report["accuracy"] == (scores > 0.5).mean()
    assert math.isnan(popularity(model, train + valid, test)["auc"])
    assert "nan" in str(report) and json.dumps(report.as_json())


def test_training_still_needs_both_classes():
    _, train, valid, _ = parts()
    with pytest.raises(InputError, match="every rating of the train part is at least positive=1"):
        fit(Ranker(train.schema, 4), train, valid, positive=1.0, progress=False)


def test_what_cannot_be_validated_is_refused_before_training():
    _, train, valid, _ = parts()
    steps: list[int] = []
    with pytest.raises(InputError, match="30 events of train are in train too"):
        fit(
            TwoTower(train.schema, 4), train, train, progress=False,
            on_step=lambda step, loss: steps.append(step),
        )  # fmt: skip
    assert not steps


@pytest.mark.slow
def test_two_processes_go_on_as_one_does():
    first, second = processes.run(run)
    assert first == second
    assert first[0] == pytest.approx(run()[0], abs=1e-3)
