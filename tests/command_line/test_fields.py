import pandas as pd
import pytest

from torchrec_ext.command_line import fields_or_default
from torchrec_ext.data import leave_last_out, read_events


def train_part(**columns):
    frame = pd.DataFrame({"user": [1] * 4, "item": list("abcd"), "day": list("mtwt"), **columns})
    return leave_last_out(read_events(frame, context=[n for n in ("type", "day") if n in frame]))[0]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"type": list("xyxy")}, ("user", "item", "context_day")),
        ({"type": list("xyxy"), "rating": [5.0, 1.0, 4.0, 3.0]}, None),
        ({"rating": [5.0, 1.0, 4.0, 3.0]}, None),
        ({}, None),
    ],
)
def test_the_type_is_no_field_where_it_stands_for_the_rating(columns, expected):
    assert fields_or_default(None, train_part(**columns)) == expected


def test_a_setting_counts():
    assert fields_or_default(["context_type"], train_part(type=list("xyxy"))) == ("context_type",)
