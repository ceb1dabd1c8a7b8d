import pytest
import torch

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_one_of, expect_shape
from torchrec_ext.errors import InputError


@pytest.mark.parametrize(
    ("sizes", "shape"), [((8, 2, 50), ("batch", 2, 50)), ((0, 3), ("batch", 3)), ((4,), (4,))]
)
def test_fitting_shapes_pass(sizes, shape):
    expect_shape("x", torch.zeros(sizes), shape)


@pytest.mark.parametrize(
    ("sizes", "shape", "message"),
    [
        ((8, 3, 50), ("batch", 2, 50), "x should be (batch, 2, 50), received (8, 3, 50)"),
        ((8, 50), ("batch", 2, 50), "x should be (batch, 2, 50), received (8, 50)"),
        ((8,), (4,), "x should be (4,), received (8,)"),
        ((), ("batch",), "x should be (batch,), received ()"),
    ],
)
def test_other_shapes_are_refused_with_both(sizes, shape, message):
    with pytest.raises(InputError) as error:
        expect_shape("x", torch.zeros(sizes), shape)
    assert str(error.value) == message


class Checked(torch.nn.Module):
    def forward(self, x_BD):
        expect_shape("x_BD", x_BD, ("batch", 3))
        return x_BD + 1


def test_the_check_stays_in_a_trace():
    traced = torch.fx.symbolic_trace(Checked())
    assert traced(torch.zeros(2, 3)).tolist() == [[1.0] * 3] * 2
    with pytest.raises(InputError, match="x_BD should be"):
        traced(torch.zeros(2, 4))


def test_numbers_and_words():
    expect_at_least(1, layers=1, dim=2)
    with pytest.raises(InputError, match="dim should be at least 1, received 0"):
        expect_at_least(1, layers=1, dim=0)
    with pytest.raises(InputError, match="side should be 'left' or 'right', received 'up'"):
        expect_one_of("side", "up", ("left", "right"))
    expect_dropout(0.0)
    for wrong in (-0.1, 1.0):
        with pytest.raises(InputError, match="dropout should be at least 0 and below 1"):
            expect_dropout(wrong)
