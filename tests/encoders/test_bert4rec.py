import math

import pytest
import torch

from tests.encoders.torch_transformer import torch_transformer
from torchrec_ext.encoders import BERT4Rec
from torchrec_ext.errors import InputError


def test_one_layer_by_hand():
    encoder = BERT4Rec(dim=2, layers=1, heads=1, dropout=0.0).eval()
    block = encoder.blocks[0]
    with torch.no_grad():
        encoder.positions.weight.zero_()
        encoder.hidden_event.copy_(torch.tensor([0.0, 1.0]))
        block.query_key_value.weight.copy_(torch.cat([torch.eye(2)] * 3))
        block.attended.weight.copy_(torch.eye(2))
        block.feed_in.weight.zero_()
        block.feed_out.weight.zero_()
    events = torch.tensor([[[1.0, 0.0], [7.0, 9.0], [8.0, 8.0]]])  # the second is hidden, the third padding
    # Scaled, they are (sqrt 2, 0) and (0, sqrt 2); normalised they are (1, -1) and (-1, 1).
    seen_itself = 1 / (1 + math.exp(-4 / math.sqrt(2)))  # products 2 and -2 over the root of the width
    attended = seen_itself * -1 + (1 - seen_itself) * 1
    states = encoder(events, torch.tensor([2]), masked_BT=torch.tensor([[False, True, False]]))[0, :2]
    half = (math.sqrt(2) - 2 * attended) / 2
    expected = half / math.sqrt(half**2 + 1e-5)
    assert states[0].tolist() == pytest.approx([expected, -expected], abs=1e-6)
    assert states[1].tolist() == pytest.approx([-expected, expected], abs=1e-6)


@pytest.mark.parametrize("max_length", [4, 9])
def test_it_is_torch_own_transformer(max_length):
    encoder = BERT4Rec(dim=8, layers=2, heads=2, hidden=12, max_length=max_length).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    events = torch.randn(3, 7, 8, dtype=torch.float64, generator=generator)
    hidden = torch.rand(3, 7, generator=generator) < 0.4
    lengths = torch.tensor([7, 5, 1])
    states = encoder(events, lengths, masked_BT=hidden)
    own = torch_transformer(encoder, "gelu")
    for row, length in enumerate(lengths.tolist()):
        positions = [min(length - 1 - t, max_length - 1) for t in range(length)]
        shown = [encoder.hidden_event if hidden[row, t] else events[row, t] for t in range(length)]
        vectors = torch.stack(shown) * 8**0.5 + encoder.positions.weight[positions]
        torch.testing.assert_close(states[row, :length], own(vectors.unsqueeze(0))[0])


def test_positions_count_from_the_newest():
    encoder = BERT4Rec(dim=8, max_length=3).eval()
    hooked = []
    encoder.positions.register_forward_pre_hook(lambda _, inputs: hooked.append(inputs[0].tolist()))
    encoder(torch.randn(3, 4, 8), torch.tensor([4, 2, 0]))
    assert hooked == [[[2, 2, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]]


def test_the_mask_vector_learns_where_events_are_hidden():
    encoder = BERT4Rec(dim=8)
    events, lengths = torch.randn(2, 4, 8), torch.tensor([4, 2])
    encoder(events, lengths).square().sum().backward()
    assert encoder.hidden_event.grad is None
    hidden = torch.tensor([[False, True, False, False]] * 2)
    (encoder(events, lengths, masked_BT=hidden) * torch.randn(2, 4, 8)).sum().backward()
    assert encoder.hidden_event.grad.any()


def test_the_trace_serves_other_sizes_with_and_without_a_mask():
    encoder = BERT4Rec(dim=8, max_length=5).eval()
    traced = torch.fx.symbolic_trace(encoder)
    for rows, events in ((2, 3), (1, 5), (4, 9)):
        vectors, lengths = torch.randn(rows, events, 8), torch.arange(rows)
        for hidden in (None, torch.rand(rows, events) < 0.5):
            expected = encoder(vectors, lengths, masked_BT=hidden)
            torch.testing.assert_close(traced(vectors, lengths, None, hidden), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 3}, "heads should divide dim, which is 8, received 3"),
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"hidden": 0}, "hidden should be at least 1, received 0"),
        ({"max_length": 0}, "max_length should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
        ({"masked_share": 0.0}, "masked_share should be above 0 and below 1, received 0.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        BERT4Rec(dim=8, **arguments)
