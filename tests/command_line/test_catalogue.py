import pytest

from torchrec_ext.command_line import expect_k
from torchrec_ext.errors import InputError


@pytest.mark.parametrize("k", [1, 40, (1, 40), [40]])
def test_lists_that_the_catalogue_can_fill(k):
    expect_k(k, items=40)


@pytest.mark.parametrize(
    ("k", "match"),
    [((), "is empty"), (0, "received 0"), ((10, 41), "number of items, 40; received 41"), (-1, "-1")],
)
def test_other_lists_are_refused(k, match):
    with pytest.raises(InputError, match=match):
        expect_k(k, items=40)


def test_data_without_items_has_no_lists():
    with pytest.raises(InputError, match="has no items, so there is nothing to recommend"):
        expect_k(10, items=0)
