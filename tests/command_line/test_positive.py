import pandas as pd
import pytest

from torchrec_ext.command_line import positive_or_default
from torchrec_ext.data import leave_last_out, read_events


def train_part(**columns):
    frame = pd.DataFrame({"user": [1] * 6, "item": list("abcdef"), **columns})
    return leave_last_out(read_events(frame))[0]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"rating": [0, 1, 0, 1, 5, 5]}, (1.0,)),  # the last two are not for training
        ({"rating": [0.0, 0.5, 0.5, 0.5, 1.0, 1.0]}, (1.0,)),
        ({"rating": [5, 2, 0, 1, 1, 1]}, (4.0,)),
        ({"type": ["view", "purchase", "view", "view", "view", "view"]}, (4.0,)),  # they count 1 and 4
        ({}, (4.0,)),  # training then says that there are no ratings
    ],
)
def test_the_default(columns, expected):
    assert positive_or_default(None, train_part(**columns)) == expected


def test_a_setting_counts():
    assert positive_or_default(("3", "5"), train_part(rating=[0, 1, 0, 1, 1, 1])) == (3.0, 5.0)
