import pytest
import torch
from torch import nn

from torchrec_ext.encoders import GRU
from torchrec_ext.encoders._recurrence import _Layer, is_supported, recur

LENGTHS = [7, 0, 3, 9, 1, 9]


def _compared(layers, lengths, dtype=torch.float64):
    torch.manual_seed(0)
    own = nn.GRU(5, 6, layers, batch_first=True).to(dtype)
    events = torch.randn(len(lengths), 9, 5, dtype=dtype, requires_grad=True)
    lengths = torch.tensor(lengths)
    real = (torch.arange(9) < lengths.unsqueeze(1)).unsqueeze(2)
    weights = torch.randn(len(lengths), 9, 6, dtype=dtype)
    results = []
    for states in (recur(own, nn.Identity(), events, lengths), own(events)[0] * real):
        slopes = torch.autograd.grad((states * weights).sum(), [events, *own.parameters()])
        results.append((states, slopes))
    return results


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("lengths", [LENGTHS, [9] * 4, [1, 0], [0, 0]])
def test_values_and_gradients_are_those_of_torch(layers, lengths):
    torch.testing.assert_close(*_compared(layers, lengths))


def test_in_single_precision_too():
    torch.testing.assert_close(*_compared(1, LENGTHS, torch.float32), rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_small_differences():
    torch.manual_seed(0)
    own = nn.GRU(2, 3, batch_first=True).double()
    events, lengths = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True), torch.tensor([4, 2, 3])
    torch.autograd.gradcheck(lambda e: recur(own, nn.Identity(), e, lengths), events)
    rows = events.detach()[:, 0]
    torch.autograd.gradcheck(lambda *weights: _Layer.apply(rows, [2, 1], *weights), [*own.parameters()])


def test_a_second_derivative_is_refused():
    events = torch.randn(2, 3, 4, requires_grad=True)
    states = GRU(dim=4, dropout=0.0)(events, torch.tensor([3, 2]))
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(states.sum(), events, create_graph=True)


def test_gradients_may_be_taken_again_and_under_autocast():
    encoder = GRU(dim=4, dropout=0.0)
    events = torch.randn(2, 3, 4, requires_grad=True)
    loss = encoder(events, torch.tensor([3, 2])).sum()
    (first,) = torch.autograd.grad(loss, events, retain_graph=True)
    with torch.autocast("cpu", torch.bfloat16):
        (second,) = torch.autograd.grad(loss, events)
    assert torch.equal(first, second)


def test_layers_drop_between_them_in_training_alone():
    encoder = GRU(dim=4, layers=2, dropout=0.5)
    encoder.drop.p = 0.0
    events, lengths = torch.randn(3, 5, 4), torch.tensor([5, 4, 0])
    assert not torch.equal(encoder(events, lengths), encoder(events, lengths))
    encoder.eval()
    assert torch.equal(encoder(events, lengths), encoder(events, lengths))


def test_padding_gives_zeros():
    states = GRU(dim=4)(torch.randn(3, 5, 4), torch.tensor([5, 2, 0]))
    assert not states[1, 2:].any() and not states[2].any() and states[:2, :2].any()


def test_what_is_traced_takes_torch_own():
    encoder = GRU(dim=4).eval()
    traced = torch.fx.symbolic_trace(encoder)
    assert any(node.target == "recurrence" for node in traced.graph.nodes)
    assert is_supported(torch.zeros(1)) and not is_supported(torch.zeros(1, device="meta"))
