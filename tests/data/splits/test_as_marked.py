"""The data's own split."""

import pandas as pd
import pytest

from torchrec_ext.data import as_marked, read_events
from torchrec_ext.errors import InputError


def marked(marks):
    frame = pd.DataFrame({"user": 1, "item": range(len(marks)), "fold": marks})
    return read_events(frame, columns={"fold": "fold"})


def test_every_word_that_is_understood():
    marks = ["train", "Training", "VALID", "validation", "val", " Dev ", "Test", "testing", "unsure"]
    events = marked(marks)
    parts = as_marked(events.take((events.frame["fold"] != "unsure").to_numpy()), "fold")
    assert [part.events.source_rows.tolist() for part in parts] == [[0, 1], [2, 3, 4, 5], [6, 7]]
    assert parts[0].protocol == "as marked in column 'fold'"


@pytest.mark.parametrize(
    ("marks", "match"),
    [
        (["train", "valid", "test", "tset", "tset"], "column 'fold' holds 'tset' in 2 rows; expected tr"),
        (["train", None, "valid", "test"], "column 'fold' has no mark in 1 rows"),
        ([0.0, 1.0, 2.0], "should hold the words train, valid and test, not numbers"),
        ([0, 1, 2], "column 'fold' holds 0 in 1 rows"),
        (["train", "train", "test"], "the valid part of DataFrame is empty"),
    ],
)
def test_other_marks_are_refused(marks, match):
    with pytest.raises(InputError, match=match):
        as_marked(marked(marks), "fold")
