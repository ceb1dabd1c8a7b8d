"""GroupedEvents: a positive event and others of its group."""

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.data.batching.grouped_events import GroupedEvents
from torchrec_ext.errors import NothingToLearn

ROWS = {"user": [1] * 9, "item": list("abcdefgxy"), "rating": [0, 1, 0, 1, 1, 0, 1, 0, 0]}
GROUPS = [1, 1, 1, 2, 3, 3, np.nan, 9, 9]  # the positive of 2 stands alone, that of item g in no group


def part(groups):
    shown = pd.DataFrame({**ROWS, "shown": groups})
    events = read_events(shown, columns={"shown": {"kind": "number"}}, labels=["shown"])
    return leave_last_out(events)[0]


def test_negatives_are_of_the_group_of_the_positive():
    train = part(GROUPS)
    examples = GroupedEvents(train, Inputs(fields=("item",)), 1, "shown", negatives=3)
    assert examples.rows == 4 and len(examples.sizes()) == 2
    seen = [set(), set()]
    for salt in range(20):
        batch = examples.batch(np.array([0, 1]), 2, salt=salt)
        assert batch.labels[:, 0].tolist() == [1, 0, 0, 0] * 2
        items = train.preparation.vocabularies["item"].ids(batch.fields["item"].values().numpy())
        lists = np.array(items).reshape(2, 4)
        assert lists[:, 0].tolist() == ["b", "e"]
        for found, words in zip(seen, lists[:, 1:], strict=True):
            found.update(words.tolist())
    assert seen == [{"a", "c"}, {"f"}]


def test_groups_without_a_negative_are_refused():
    with pytest.raises(NothingToLearn, match="no group of 'shown' has both a positive and another event"):
        GroupedEvents(part(range(9)), Inputs(fields=("item",)), 1, "shown")
