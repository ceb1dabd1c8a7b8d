import pytest
import torch
from torch.nn import functional

from torchrec_ext.encoders import NextItNet
from torchrec_ext.errors import InputError


def test_one_block_by_hand():
    encoder = NextItNet(dim=2, layers=1, dilations=(1, 2), kernel_size=2, dropout=0.0).double().eval()
    with torch.no_grad():
        for convolution, (older, newest) in zip(encoder.convolutions, ((1.0, -2.0), (0.0, 1.0)), strict=True):
            convolution.mix.weight.copy_(torch.cat([older * torch.eye(2), newest * torch.eye(2)], 1))
            convolution.mix.bias.zero_()
            convolution.norm.eps = 0.0
        encoder.convolutions[1].mix.weight[:, :2] = 3 * torch.eye(2)
        encoder.norm.eps = 0.0
        encoder.norm.weight.copy_(torch.tensor([1.0, 10.0]))
    root = 2**0.5
    events = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]], dtype=torch.float64) / root
    # Scaled, the events are (1, 0), (2, 1), (0, 3); the first convolution gives older - 2 * newest:
    # (-2, 0), (-3, -2), (2, -5); two components normalise to 1 and -1, and ReLU leaves
    # (0, 1), (0, 1), (1, 0). The second one gives the newest and 3 times the one two before:
    # (0, 1), (0, 1), (1, 3), of which (0, 1) each is left. Added: (1, 1), (2, 2), (0, 4).
    expected = [[-1.0, 10.0]]
    assert encoder(events.unsqueeze(0), torch.tensor([3]))[0, 2:].tolist() == expected
    with torch.no_grad():
        encoder.norm = torch.nn.Identity()
    added = encoder(events.unsqueeze(0), torch.tensor([3]))[0]
    torch.testing.assert_close(added, torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.0, 4.0]]).double())


@pytest.mark.parametrize(("kernel_size", "dilations"), [(3, (1, 2, 4, 8)), (2, (3,)), (1, (1,))])
def test_it_is_torch_own_convolution(kernel_size, dilations):
    encoder = NextItNet(6, layers=3, dilations=dilations, kernel_size=kernel_size).double().eval()
    events = torch.randn(2, 17, 6, dtype=torch.float64)
    vectors = events * 6**0.5
    for block in range(3):
        added = vectors
        for turn in range(2):
            layer = encoder.convolutions[2 * block + turn]
            dilation = dilations[(2 * block + turn) % len(dilations)]
            weight = layer.mix.weight.unflatten(1, (kernel_size, 6)).transpose(1, 2)
            padded = functional.pad(added.transpose(1, 2), ((kernel_size - 1) * dilation, 0))
            mixed = functional.conv1d(padded, weight, layer.mix.bias, dilation=dilation).transpose(1, 2)
            added = functional.layer_norm(mixed, (6,)).relu()
        vectors = vectors + added
    expected = functional.layer_norm(vectors, (6,))
    torch.testing.assert_close(encoder(events, torch.tensor([17, 17])), expected)


def test_a_state_sees_its_field():
    encoder = NextItNet(dim=4, layers=1, dilations=(2, 3)).double().eval()
    assert encoder.receptive_field == 11
    events = torch.randn(1, 20, 4, dtype=torch.float64, requires_grad=True)
    states = encoder(events, torch.tensor([20]))
    (slope,) = torch.autograd.grad((states[0, 15] * torch.randn(4)).sum(), events)
    seen = slope[0].abs().sum(1).nonzero().flatten().tolist()
    assert seen == [5, 7, 8, 9, 10, 11, 12, 13, 15]  # sums of 0, 2 or 4 and 0, 3 or 6 before it


def test_steps_equal_forward_beyond_the_field():
    encoder = NextItNet(dim=4, layers=2, dilations=(1, 2)).eval()
    events = torch.randn(3, 30, 4)
    expected = encoder(events, torch.full((3,), 30))
    state = encoder.initial_state(3)
    for t in range(30):
        state, output = encoder.step(state, events[:, t])
        torch.testing.assert_close(output, expected[:, t], rtol=1e-5, atol=1e-5)


def test_the_trace_serves_other_sizes():
    encoder = NextItNet(dim=8).eval()
    traced = torch.fx.symbolic_trace(encoder)
    for rows, events in ((2, 3), (1, 5), (4, 90)):
        vectors, lengths = torch.randn(rows, events, 8), torch.full((rows,), events)
        torch.testing.assert_close(traced(vectors, lengths), encoder(vectors, lengths))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"kernel_size": 0}, "kernel_size should be at least 1, received 0"),
        ({"dilations": ()}, r"dilations should be numbers of at least 1, received \(\)"),
        ({"dilations": (1, 0)}, r"dilations should be numbers of at least 1, received \(1, 0\)"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        NextItNet(dim=4, **arguments)
