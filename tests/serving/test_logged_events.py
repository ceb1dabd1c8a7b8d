"""Events of a service in the columns of the data, of every kind, and what does not fit."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.worlds import rich_world
from torchrec_ext.data import join_events, read_events
from torchrec_ext.serving import ServedEvent
from torchrec_ext.serving.logged_events import as_events

NOW = 1_700_000_000.75


def test_every_kind_of_column_takes_its_values_from_the_event():
    like = rich_world()
    context = {
        "words": ["w1", 7, None], "city": "york", "paid": "3.5", "shelf": 2, "mood": [0.5, 1], "rating": 4,
    }  # fmt: skip
    empty = {"words": "w9", "mood": [1.0], "paid": "much", "shelf": True, "city": {"a": 1}}
    found = as_events(
        [
            ServedEvent(2, 101, NOW + 1, "view", empty),
            ServedEvent("1", None, NOW, "purchase", context),
        ],
        like,
    )
    assert found.table.schema == like.table.schema
    first, second = found.frame.to_dict("records")
    assert (first["user"], first["type"], first["timestamp"]) == (1, "purchase", 1_700_000_000)
    assert pd.isna(first["item"]) and second["item"] == 101
    assert (first["words"], second["words"]) == (["w1", "7"], ["w9"])
    assert (first["city"], first["paid"], first["shelf"]) == ("york", 3.5, 2)
    assert np.array_equal(first["mood"], [0.5, 1]) and np.isnan(second["mood"]).all()
    assert pd.isna(second["city"]) and np.isnan(second["paid"]) and np.isnan(second["shelf"])
    both = join_events(like, found)
    assert len(both) == len(like) + 2 and both.frame["user"].iloc[-2:].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("ids", "events", "kept"),
    [
        ([1, 2], [7, "8", "08", "ann", "9" * 30, -3], [7, 8, -3]),
        (["a", "b"], [7, "8", "08", "ann"], ["7", "8", "08", "ann"]),
    ],
)
def test_ids_are_of_the_data_s_kind_or_left_out(ids, events, kept):
    like = read_events(pd.DataFrame({"user": ids, "item": ids}))
    of_users = as_events([ServedEvent(user, ids[0], NOW) for user in events], like)
    of_items = as_events([ServedEvent(ids[0], item, NOW) for item in events], like)
    assert of_users.frame["user"].tolist() == of_items.frame["item"].tolist() == kept


@pytest.mark.parametrize(
    ("times", "kind", "found"),
    [
        ([5, 6], pa.int64(), 1_700_000_000),
        ([5.5, 6.0], pa.float64(), NOW),
        (
            pd.to_datetime(["2020-01-01 00:00:00.000000001"] * 2),
            pa.timestamp("ns"),
            1_700_000_000_750_000_000,
        ),
    ],
)
def test_times_are_kept_as_the_data_keeps_them(times, kind, found):
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 2], "timestamp": times})
    like = read_events(frame)
    assert like.column("timestamp").type == kind
    events = as_events([ServedEvent(1, 1, NOW + 3), ServedEvent(2, 1, NOW)], like)
    assert events.ticks[0] == found and events.frame["user"].tolist() == [2, 1]  # by time


def test_data_without_times_or_users_columns():
    like = read_events(pd.DataFrame({"user": [1, 2], "item": [1, 2]}))
    found = as_events([], like)
    assert found.columns == like.columns and len(found) == 0 and len(join_events(like, found)) == 2
