"""SIM's hard search, where only the events of the candidate's category say whether it is liked."""

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from torchrec_ext.data import Dataset, leave_last_out, read_events
from torchrec_ext.errors import InputError
from torchrec_ext.models import Ranker
from torchrec_ext.target_attention import SIM
from torchrec_ext.training import Optimization, fit

EVENTS, CATEGORIES, SHADES = 40, 6, 3
FIRST = CATEGORIES / EVENTS
"""Share of the events before which a user has had none of their category."""


def planted() -> Dataset:
    """An item is liked if the newest event of its category was a good one, whatever came after it."""
    rng = np.random.default_rng(0)
    items = rng.integers(0, CATEGORIES * SHADES, (60, EVENTS))
    good = rng.random(items.shape) < 0.5
    liked = rng.random(items.shape) < 0.5
    for user, row in enumerate(items // SHADES):
        newest: dict[int, bool] = {}
        for place, category in enumerate(row):
            liked[user, place] = newest.get(category, liked[user, place])
            newest[category] = good[user, place]
    frame = pd.DataFrame({
        "user": np.repeat(np.arange(60), EVENTS),
        "item": items.ravel(),
        "timestamp": 1_600_000_000 + np.arange(items.size),
        "rating": np.where(liked, 5, 1).ravel(),
        "type": np.where(good, "good", "bad").ravel(),
    })  # fmt: skip
    of_items = pd.DataFrame({"item": np.arange(CATEGORIES * SHADES)})
    of_items["category"] = [f"category {item // SHADES}" for item in of_items["item"]]
    of_items["shade"] = [f"shade {item % SHADES}" for item in of_items["item"]]
    return leave_last_out(read_events(frame, items=of_items, context=["type"]))[0]


def test_it_finds_what_the_newest_events_do_not_say():
    train, outcomes = planted(), {}
    for match in ("item_category", "item_shade"):
        torch.manual_seed(0)
        hard = partial(SIM, top_k=1, heads=1, match=match)
        model = Ranker(train.schema, 8, (), target_attention=hard, history_fields=("context_type",))
        losses: list[float] = []
        fit(
            model,
            train,
            epochs=2,
            progress=False,
            on_step=lambda _, loss, losses=losses: losses.append(loss),
            optimization=Optimization(64, learning_rate=0.01, warmup_steps=0),
        )
        outcomes[match] = np.mean(losses[-len(losses) // 2 :])
    assert outcomes["item_category"] == pytest.approx(FIRST * math.log(2), abs=0.03)
    assert outcomes["item_shade"] > 0.6


def test_a_feature_that_items_do_not_have_is_named():
    with pytest.raises(InputError, match="matches 'item_brand'.*there are item_category, item_shade"):
        Ranker(planted().schema, 8, target_attention=partial(SIM, match="item_brand"))
