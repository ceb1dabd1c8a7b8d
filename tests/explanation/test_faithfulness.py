"""faithfulness(): passes where the truth is planted, and fails for attributions by chance."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.explanation.by_hand import built, mean_of_songs, songs
from tests.retrieval.trained import EVENTS, TRAIN
from torchrec_ext.errors import InputError
from torchrec_ext.explanation import faithfulness
from torchrec_ext.models import TwoTower

PAIRS = pd.DataFrame({"user": range(1, 31), "item": [101 + 7 * user % 30 for user in range(30)]})


@pytest.fixture(scope="module")
def trained():
    """The mean of the history's vectors, which are drawn by chance."""
    module = TwoTower(TRAIN.schema, 4, "mean_pool", max_length=20)
    table = torch.randn(
        len(TRAIN.preparation.vocabularies["item"]), 4, generator=torch.Generator().manual_seed(0)
    )
    return built(module, TRAIN, {"embeddings.tables.item.weight": table})


@pytest.mark.parametrize(
    "method", ["leave_one_out", pytest.param("integrated_gradients", marks=pytest.mark.slow)]
)
def test_what_is_true_of_the_model_passes(trained, method):
    found = faithfulness(trained, EVENTS, PAIRS, method=method)
    assert found.passes and found.low > 0.1 and len(found.areas) == 30
    assert found.verdict.startswith(f"{method} is faithful")
    first, last = found.table.iloc[0], found.table.iloc[-1]
    assert first["score"] == first["random"] and last["score"] == last["random"]  # nothing, and all, deleted
    assert (found.table["score"] <= found.table["random"] + 1e-9).all()
    assert found.area == pytest.approx(found.areas.mean()) and found.low < found.area < found.high


def test_contributions_by_chance_fail(trained):
    rng = np.random.default_rng(1)

    def chance(pair):
        return rng.random(len(pair.events))

    found = faithfulness(trained, EVENTS, PAIRS, method=chance)
    assert not found.passes and abs(found.area) < 0.05
    assert found.verdict.startswith("chance is NOT faithful")


def test_recency_is_not_the_reason_of_a_mean(trained):
    assert not faithfulness(trained, EVENTS, PAIRS, method=lambda pair: np.arange(len(pair.events))).passes


def test_the_curves_of_three_songs_by_hand():
    # d's scores: of (a, b, c) 7/3, (a, b) 3/2, (a) 1, () 0; in the other order of (b, c) 3, (c) 4, () 0
    events, train = songs()
    pairs = pd.DataFrame({"user": [1, 1], "item": ["d", "d"]})
    for contributions, scores in (([1, 2, 3], [7 / 3, 3 / 2, 1, 0]), ([3, 2, 1], [7 / 3, 3, 4, 0])):
        found = faithfulness(
            mean_of_songs(train),
            events,
            pairs,
            method=lambda _, own=contributions: own,
            least_events=3,
            orders=100,
        )
        deleted = [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3]  # of three, in ten steps
        assert found.table["score"].tolist() == pytest.approx([scores[n] / 4 for n in deleted])
        assert found.passes == (contributions == [1, 2, 3])


def test_what_cannot_be_tested_is_refused(trained):
    with pytest.raises(InputError, match="pairs has 0 users with at least 99 events"):
        faithfulness(trained, EVENTS, PAIRS, least_events=99)
    with pytest.raises(InputError, match="reads no history"):
        faithfulness(built_without_history(), EVENTS, PAIRS)
    with pytest.raises(InputError, match="method should be"):
        faithfulness(trained, EVENTS, PAIRS, method="factors")


def built_without_history():
    module = TwoTower(TRAIN.schema, 2)
    sizes = {name: len(TRAIN.preparation.vocabularies[name]) for name in ("user", "item")}
    return built(
        module, TRAIN, {f"embeddings.tables.{n}.weight": torch.zeros(s, 2) for n, s in sizes.items()}
    )
