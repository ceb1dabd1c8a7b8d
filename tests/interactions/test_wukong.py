import pytest
import torch
from torch import nn
from torch.nn.functional import layer_norm

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import Wukong


def test_one_layer_by_hand():
    interaction = Wukong(num_fields=2, dim=2, layers=1, fm_fields=1, linear_fields=1, rank=1, hidden=())
    (layer,) = interaction.stack
    with torch.no_grad():
        layer.compress.weight.copy_(torch.tensor([[1.0, 0.0]]))
        layer.new.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
        layer.new.bias.zero_()
        layer.sums.weight.fill_(1.0)
    fields = torch.tensor([[[1.0, 2.0], [3.0, 5.0]]])
    # X^T Y = (1, 2), so X X^T Y = (5, 13), whose norm (-1, 1) gives the new vector (-1 + 2, 3).
    # The sum of the fields is (4, 7). With X added: (1 + 1, 3 + 2) and (4 + 3, 7 + 5).
    layer.norm = nn.Identity()
    assert (interaction.out_dim, interaction.out_fields) == (4, 2)
    assert interaction(fields).tolist() == [pytest.approx([2.0, 5.0, 7.0, 12.0], abs=1e-4)]
    layer.norm = nn.LayerNorm(2)
    assert interaction(fields).tolist() == [pytest.approx([-1.0, 1.0, -1.0, 1.0], abs=1e-4)]


@pytest.mark.parametrize("hidden", [(), (5, 3)])
def test_it_is_a_loop_over_layers_and_vectors(hidden):
    dim = 4
    interaction = Wukong(3, dim, fm_fields=2, linear_fields=3, rank=2, hidden=hidden).double()
    with torch.no_grad():
        for parameter in interaction.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    fields = torch.randn(6, 3, dim, dtype=torch.float64)
    expected = []
    for row in fields:
        vectors = row
        for number, layer in enumerate(interaction.stack):
            products = torch.stack([torch.stack([a @ b for b in vectors]) for a in vectors])
            state = (products @ layer.compress.weight.T).flatten()
            state = layer_norm(state, state.shape, layer.products_norm.weight, layer.products_norm.bias)
            for part in (module for module in layer.mlp.modules() if isinstance(module, nn.Linear)):
                state = (part.weight @ state + part.bias).clamp(min=0)
            crossed = (layer.new.weight @ state + layer.new.bias).unflatten(0, (2, dim))
            before = vectors if number else layer.residual.weight @ vectors  # from 3 vectors to 5
            both = torch.cat([crossed, layer.sums.weight @ vectors]) + before
            vectors = layer_norm(both, (dim,), layer.norm.weight, layer.norm.bias)
        expected.append(vectors.flatten())
    torch.testing.assert_close(interaction(fields), torch.stack(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 1}, "dim should be at least 2, received 1"),
        ({"rank": 0}, "rank should be at least 1, received 0"),
        ({"linear_fields": 0}, "linear_fields should be at least 1, received 0"),
        ({"hidden": (4, 0)}, "hidden should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        Wukong(**{"num_fields": 3, "dim": 4, **arguments})
