import math

import pytest
import torch
from torch import nn

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import AutoInt


def test_one_head_by_hand():
    interaction = AutoInt(num_fields=2, dim=1, layers=1, heads=1, hidden=1)
    with torch.no_grad():
        interaction.maps[0].weight.copy_(torch.tensor([[1.0], [0.5], [2.0]]))
        interaction.residuals[0].weight.fill_(-1.0)
    # Fields 1 and 2: keys .5 and 1, values 2 and 4, residuals -1 and -2.
    to_second = [math.exp(q) / (math.exp(q * 0.5) + math.exp(q)) for q in (1, 2)]
    expected = [(1 - w) * 2 + w * 4 - r for w, r in zip(to_second, (1, 2), strict=True)]
    assert interaction.out_dim == 2
    assert interaction(torch.tensor([[[1.0], [2.0]]])).flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_it_is_a_loop_over_heads_and_fields():
    fields, dim, heads, hidden = 3, 4, 2, 6
    interaction = AutoInt(fields, dim, layers=2, heads=heads, hidden=hidden).double()
    batch = torch.randn(5, fields, dim, dtype=torch.float64)
    expected = []
    for row in batch:
        vectors = list(row)
        for layer, residual in zip(interaction.maps, interaction.residuals, strict=True):
            query, key, value = layer.weight.split(hidden)
            new = []
            for mine in vectors:
                parts = []
                for h in range(heads):
                    rows = slice(h * hidden // heads, (h + 1) * hidden // heads)
                    scores = torch.stack([(query[rows] @ mine) @ (key[rows] @ other) for other in vectors])
                    weights = (scores / math.sqrt(hidden // heads)).exp()
                    weights = weights / weights.sum()
                    parts.append(sum(w * (value[rows] @ v) for w, v in zip(weights, vectors, strict=True)))
                new.append((torch.cat(parts) + residual.weight @ mine).clamp(min=0))
            vectors = new
        expected.append(torch.cat(vectors))
    torch.testing.assert_close(interaction(batch), torch.stack(expected))


def test_its_attention_is_torchs():
    interaction = AutoInt(3, 8, layers=1, heads=2, hidden=8)
    theirs = nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(interaction.maps[0].weight)
        theirs.out_proj.weight.copy_(torch.eye(8))
    fields = torch.randn(5, 3, 8)
    expected = theirs(fields, fields, fields)[0] + interaction.residuals[0](fields)
    torch.testing.assert_close(interaction(fields), expected.relu().flatten(1))


def test_dropout_falls_in_training_alone():
    interaction = AutoInt(3, 4, dropout=0.5)
    fields = torch.randn(5, 3, 4)
    torch.manual_seed(0)
    assert not torch.equal(interaction(fields), interaction(fields))
    interaction.eval()
    assert torch.equal(interaction(fields), interaction(fields))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"heads": 3}, "hidden should be a multiple of heads, received hidden=64, heads=3"),
        ({"dropout": -0.1}, "dropout should be at least 0 and below 1, received -0.1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        AutoInt(3, 4, **arguments)
