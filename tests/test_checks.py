import pytest
import torch
from torch import nn

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_one_of, expect_shape, run_on_zeros
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
    with pytest.raises(InputError, match="layers should be at most 1,000, received 4,000,000,"):
        expect_at_least(1, layers=4 * 10**18)
    with pytest.raises(InputError, match="side should be 'left' or 'right', received 'up'"):
        expect_one_of("side", "up", ("left", "right"))
    expect_dropout(0.0)
    for wrong in (-0.1, 1.0):
        with pytest.raises(InputError, match="dropout should be at least 0 and below 1"):
            expect_dropout(wrong)


class Recorder(nn.Module):
    """Draws, notes its modes and hands on what it got."""

    def __init__(self):
        super().__init__()
        self.drop, self.norm = nn.Dropout(0.5), nn.BatchNorm1d(3).double()

    def forward(self, x):
        self.seen = (x, torch.is_grad_enabled(), [part.training for part in self.modules()])
        return x + torch.rand(())


def test_a_module_is_tried_out_without_a_trace():
    module = Recorder()
    module.norm.eval()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    statistics = {name: value.clone() for name, value in module.state_dict().items()}
    made = run_on_zeros("module", module, (2, 3), module)
    x, with_gradients, modes = module.seen
    assert made.shape == (2, 3) and torch.equal(x, torch.zeros(2, 3, dtype=torch.float64))
    assert not with_gradients and not any(modes)
    assert [part.training for part in module.modules()] == [True, True, False]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, statistics[name]) for name, value in module.state_dict().items())


def test_a_module_is_tried_out_where_it_is():
    module = nn.Linear(3, 2, device="meta", dtype=torch.bfloat16)
    made = run_on_zeros("module", module, (2, 3), module)
    assert made.is_meta and made.dtype == torch.bfloat16


def test_a_module_that_fails_says_so_in_its_own_words():
    module = nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"inner Linear fails on zeros of shape \(2, 4\): mat1 and mat2"):
        run_on_zeros("inner", module, (2, 4), module)
    assert module.training
    silent = nn.Identity()
    with pytest.raises(InputError, match=r"inner Identity fails on zeros of shape \(2,\): AssertionError"):
        run_on_zeros("inner", silent, (2,), _refuse)


def _refuse(_):
    raise AssertionError


def test_a_list_is_not_a_tensor():
    with pytest.raises(InputError, match="ids_C should be a tensor, received list"):
        expect_shape("ids_C", [1, 2], ("candidates",))
