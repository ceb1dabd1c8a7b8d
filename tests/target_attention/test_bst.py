import pytest
import torch
from torch import nn

from torchrec_ext.errors import InputError
from torchrec_ext.target_attention import BST


def _layer_norm(x):
    return (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt()


def test_one_event_by_hand():
    attention = BST(dim=2, heads=1, hidden=1, dropout=0.0)
    block = attention.blocks[0]
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.fill_(0.0)
        block.into_heads.weight[4:] = torch.eye(2)  # no query, no key: each place sees the mean of both
        block.from_heads.weight.copy_(torch.eye(2))
        block.first.weight.copy_(torch.tensor([[1.0, 0.0]]))
        block.second.weight.copy_(torch.tensor([[0.0], [2.0]]))
        block.attended.weight.fill_(1.0)
        block.transformed.weight.fill_(1.0)
        attention.positions.weight[0] = torch.tensor([1.0, 0.0])  # the candidate's
        attention.positions.weight[1] = torch.tensor([0.0, 1.0])  # the newest event's
    # candidate (4, 0) and event (0, 4), of which the mean is (2, 2): sums (6, 2) and (2, 6), whose layer
    # norms are (1, -1) and (-1, 1); LeakyReLU gives 1 and -.01, of which twice goes to the second
    expected = []
    for first, second in ((1.0, -1.0), (-1.0, 1.0)):
        raised = first if first > 0 else 0.01 * first
        expected.append(_layer_norm(torch.tensor([first, second + 2 * raised])))
    received = attention(
        torch.tensor([[3.0, 0.0]]), torch.tensor([[[0.0, 3.0], [9.0, 9.0]]]), torch.tensor([1])
    )
    torch.testing.assert_close(received[0], torch.cat(expected), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 3)])
def test_equals_torch_s_transformer(layers, heads):
    """Row by row, without padding, the candidate after the newest event."""
    torch.manual_seed(0)
    attention = BST(dim=6, layers=layers, heads=heads, hidden=5, max_length=3).double().eval()
    target, events = torch.randn(4, 6).double(), torch.randn(4, 5, 6).double()
    lengths = torch.tensor([5, 0, 1, 3])
    received = attention(target, events, lengths)
    assert not received[1].any()
    for row in (0, 2, 3):
        length = int(lengths[row])
        places = [min(length - t, 3) for t in range(length)] + [0]
        states = torch.cat([events[row, :length], target[row : row + 1]]) + attention.positions.weight[places]
        for block in attention.blocks:
            leaky = nn.functional.leaky_relu
            layer = nn.TransformerEncoderLayer(6, heads, 5, 0.0, leaky, batch_first=True).double()
            with torch.no_grad():
                layer.self_attn.in_proj_weight.copy_(block.into_heads.weight)
                layer.self_attn.in_proj_bias.copy_(block.into_heads.bias)
                layer.self_attn.out_proj.load_state_dict(block.from_heads.state_dict())
                layer.linear1.load_state_dict(block.first.state_dict())
                layer.linear2.load_state_dict(block.second.state_dict())
            states = layer(states.unsqueeze(0)).squeeze(0)
        expected = torch.cat([states[-1], states[:-1].mean(0)])
        torch.testing.assert_close(received[row], expected, rtol=1e-10, atol=1e-10)


def test_order_counts_up_to_max_length():
    attention = BST(dim=4, max_length=2, dropout=0.0)
    target, events = torch.randn(1, 4), torch.randn(1, 5, 4)
    received = attention(target, events, torch.tensor([5]))
    swapped_newest = attention(target, events[:, [0, 1, 2, 4, 3]], torch.tensor([5]))
    swapped_oldest = attention(target, events[:, [1, 0, 2, 3, 4]], torch.tensor([5]))
    assert (received - swapped_newest).abs().max() > 1e-4
    torch.testing.assert_close(received, swapped_oldest)


def test_dropout_falls_in_training_alone():
    attention = BST(dim=8, dropout=0.5)
    inputs = torch.randn(3, 8), torch.randn(3, 5, 8), torch.tensor([5, 3, 1])
    assert not torch.equal(attention(*inputs), attention(*inputs))
    assert torch.equal(attention.eval()(*inputs), attention(*inputs))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 3}, "heads should divide dim, which is 4, received 3"),
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        BST(dim=4, **arguments)
