"""Events without a rating are history for a ranker, and neither learnt nor evaluated as dislikes."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests import processes
from torchrec_ext.batch import Inputs
from torchrec_ext.data import as_marked, leave_last_out, read_events
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import baseline, evaluate
from torchrec_ext.models import Ranker
from torchrec_ext.retrieval import predict
from torchrec_ext.training import fit

START = 1_600_000_000
RATED = [  # user, item, seconds, rating, part
    ("a", 1, 0, 5, "train"), ("a", 2, 1, 1, "train"), ("a", 3, 6, 4, "valid"), ("a", 1, 8, 2, "test"),
    ("b", 2, 0, 4, "train"), ("b", 3, 2, 2, "train"), ("b", 1, 6, 1, "valid"), ("b", 2, 8, 5, "test"),
]  # fmt: skip
UNRATED = [  # between, before and after the rated ones
    ("a", 3, 0.5, "train"), ("a", 3, 3, "train"), ("b", 1, 1, "train"), ("b", 1, 3, "train"),
    ("a", 2, 7, "valid"), ("b", 3, 9, "test"),
]  # fmt: skip


@pytest.fixture(scope="module")
def declaration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    rated = pd.DataFrame(RATED, columns=["user", "item", "timestamp", "rating", "part"])
    unrated = pd.DataFrame(UNRATED, columns=["user", "item", "timestamp", "part"])
    for name, frame in (("rated", rated), ("unrated", unrated)):
        frame.assign(timestamp=START + 10 * frame["timestamp"]).to_csv(folder / f"{name}.csv", index=False)
    tables = "".join(f'[[events]]\nfile = "{n}.csv"\n' for n in ("rated", "unrated"))
    (folder / "two.toml").write_text(tables)
    return folder / "two.toml"


def read(declaration):
    return read_events(declaration, columns={"split": "part"})


def parts(declaration):
    return as_marked(read(declaration))


def test_the_rated_events_are_the_examples_and_the_others_history(declaration):
    train, valid, test = parts(declaration)
    inputs = Inputs(fields=("user", "item"), max_length=9)
    found = LabelledEvents(train, train, inputs)
    # of a: item 1 liked, then 3 unrated, then 2 disliked; of b: 2 liked, 1 unrated, 3 disliked
    assert found.items.tolist() == [1, 2, 2, 3] and found.labels[:, 0].tolist() == [1, 0, 1, 0]
    assert found.sizes().tolist() == [0, 2, 0, 2] and found.unrated == 4
    batch = found.batch(np.array([1]), 1.0)
    assert batch.sequences.to_dict()["history"].values().tolist() == [1, 3]
    assert found.weight(np.arange(4)) == 4
    assert LabelledEvents(valid, train, inputs).labels[:, 0].tolist() == [1, 0]


def test_type_weights_are_no_ratings_where_there_are_ratings(tmp_path):
    frame = pd.DataFrame({"user": [1] * 5, "item": range(5), "type": ["view"] * 5})
    frame.assign(rating=[5, 1, 5, 1, 5]).to_csv(tmp_path / "rated.csv", index=False)
    frame.assign(type="purchase").to_csv(tmp_path / "bought.csv", index=False)
    (tmp_path / "both.toml").write_text('[[events]]\nfile = "rated.csv"\n[[events]]\nfile = "bought.csv"\n')
    train, _, _ = leave_last_out(read_events(tmp_path / "both.toml"))
    assert np.isnan(train.events.ratings).sum() == 3 and len(train) == 8
    # where nobody rated anything, they are
    train, _, _ = leave_last_out(read_events(frame.assign(type=["view", "purchase"] * 2 + ["view"])))
    assert train.events.ratings.tolist() == [1, 4, 1]


def test_evaluation_and_baseline_leave_them_out(declaration):
    train, valid, test = parts(declaration)
    torch.manual_seed(0)
    model = fit(Ranker(train.schema, 8), train, valid, epochs=1, progress=False)
    report = evaluate(model, train + valid, test)
    scores = predict(model, read(declaration), pd.DataFrame({"user": ["a", "b"], "item": [1, 2]}))["score"]
    by_hand = -np.log(np.where([False, True], scores, 1 - scores)).mean()
    assert report["log_loss"] == pytest.approx(by_hand, abs=1e-6)
    assert report.protocol.endswith("labels: rating >= 4, 1 events without a rating left out")
    # of the items 1, 2, 3 each has one like of two known ratings; the mean of all is a half too
    popular = baseline(model, train + valid, test)
    assert popular["log_loss"] == pytest.approx(-np.log(0.5), abs=1e-6)
    assert "1 events without a rating left out" in popular.protocol


def test_a_part_without_a_rating_is_refused(declaration):
    events = read(declaration)
    rated = ~np.isnan(events.numbers("rating"))
    late = events.frame["split"].to_numpy() == "test"
    train, valid, test = as_marked(events.take(~late | ~rated))
    with pytest.raises(InputError, match="none of the 1 events of the test part has a rating, so there"):
        LabelledEvents(test, train, Inputs(fields=("user", "item")))


def figures(declaration) -> tuple[list[float], dict[str, float]]:
    train, valid, test = parts(declaration)
    torch.manual_seed(0)
    losses: list[float] = []
    model = Ranker(train.schema, 8)
    trained = fit(
        model, train, valid, epochs=2, progress=False, on_step=lambda step, loss: losses.append(loss)
    )
    return losses, dict(evaluate(trained, train + valid, test))


@pytest.mark.slow
def test_two_processes_learn_and_find_what_one_does(declaration):
    first, second = processes.run(figures, declaration)
    losses, found = figures(declaration)
    assert first == second
    assert first[0] == pytest.approx(losses, abs=1e-5) and first[1] == pytest.approx(found, abs=1e-5)
