import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import DotInteraction

THREE = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])


def test_two_fields_give_their_dot_product():
    interaction = DotInteraction(num_fields=2, dim=2)
    assert interaction.out_dim == 1
    assert interaction(THREE[:, :2]).tolist() == [[1 * 3 + 2 * 4.0]]


def test_every_pair_in_order():
    interaction = DotInteraction(num_fields=3, dim=2)
    assert interaction.out_dim == 3
    assert interaction(THREE).tolist() == [[11.0, 17.0, 39.0]]


def test_self_interaction():
    interaction = DotInteraction(num_fields=3, dim=2, self_interaction=True)
    assert interaction.out_dim == 6
    assert interaction(THREE).tolist() == [[5.0, 11.0, 17.0, 25.0, 39.0, 61.0]]


@pytest.mark.parametrize(("keep", "first"), [(1, [1.0, 2.0]), (2, [1.0, 2.0, 3.0, 4.0])])
def test_leading_fields_are_handed_on(keep, first):
    interaction = DotInteraction(num_fields=3, dim=2, keep_fields=keep)
    assert interaction.out_dim == 2 * keep + 3
    assert interaction(THREE).tolist() == [[*first, 11.0, 17.0, 39.0]]


def test_two_fields_agree_with_the_general_way():
    fields = torch.rand(7, 2, 5)
    general = DotInteraction(2, 5, self_interaction=True)(fields)[:, 1:2]
    torch.testing.assert_close(DotInteraction(2, 5)(fields), general)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_fields": 1, "dim": 2}, "num_fields should be at least 2, received 1"),
        ({"num_fields": 2, "dim": 0}, "dim should be at least 1, received 0"),
        ({"num_fields": 2, "dim": 2, "keep_fields": 3}, "keep_fields should be at most 2, received 3"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        DotInteraction(**arguments)
