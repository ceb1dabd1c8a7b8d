"""Values that clients send: those of another type are missing in a history, and refused in a request."""

import numpy as np
import pytest

from tests.worlds import rich_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.errors import InputError
from torchrec_ext.serving.sent_values import sent_values

PREPARATION = leave_last_out(rich_world())[0].preparation
FEATURES = {f.column: f for f in PREPARATION.schema.of("context")}
WRONG = {
    "city": [["rome"], 8.5, {"a": 1}],
    "words": ["red", 3, {"a": 1}],
    "paid": ["much", [1.0], {}],
    "shelf": ["top", [1.0, 2.0], {}],
    "mood": ["good", 3, [1.0], [], [1.0, 2.0, 3.0], ["a", "b"], {}],
}
GOOD = {"city": "rome", "words": ["red", "big"], "paid": 3, "shelf": 7, "mood": [1, 2.5]}


def plain(values) -> list:
    return values.tolist() if isinstance(values, np.ndarray) else values.to_pylist()


@pytest.mark.parametrize("column", WRONG)
def test_values_of_other_types_are_missing_or_refused(column):
    feature, wrong, good = FEATURES[column], WRONG[column], GOOD[column]
    (right,) = plain(sent_values(PREPARATION, feature, [good], strict=True))
    (missing,) = plain(sent_values(PREPARATION, feature, [None], strict=True))
    assert right != missing
    for value in wrong:
        with pytest.raises(InputError, match=f"^context: '{column}' cannot be "):
            sent_values(PREPARATION, feature, [value], strict=True)
    found = plain(sent_values(PREPARATION, feature, [good, *wrong, None, good], strict=False))
    assert found == [right, *[missing] * (len(wrong) + 1), right]


def test_values_of_several_types_are_those_of_each_alone():
    for column, values in {"paid": [3, "3", True, 2.5, None], "city": ["rome", 3, "3", None, True]}.items():
        found = plain(sent_values(PREPARATION, FEATURES[column], values, strict=True))
        alone = [plain(sent_values(PREPARATION, FEATURES[column], [v], strict=True))[0] for v in values]
        assert found == alone
