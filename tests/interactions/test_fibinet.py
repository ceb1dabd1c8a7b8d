from itertools import combinations

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import FiBiNET


@pytest.mark.parametrize(
    ("gate", "excite", "weighted"),
    [
        # The means are 1.5 and 3.5, which squeeze adds up to 5: weights of 1 and 2, so v2 becomes (6, 8).
        ("relu", [[0.2], [0.4]], [1206.0, 16080.0]),
        # Weights of sigmoid(0) = 1/2 for both fields: a quarter of the raw products.
        ("sigmoid", [[0.0], [0.0]], [150.75, 2010.0]),
    ],
)
def test_one_pair_by_hand(gate, excite, weighted):
    interaction = FiBiNET(num_fields=2, dim=2, gate=gate)
    with torch.no_grad():
        interaction.squeeze.weight.fill_(1.0)
        interaction.excite.weight.copy_(torch.tensor(excite))
        interaction.matrices.copy_(torch.tensor([[[1.0, 10.0], [100.0, 1000.0]]]))
    # v1 W = (1 + 200, 10 + 2000) = (201, 2010), times v2 = (3, 4).
    output = interaction(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    assert (interaction.out_dim, interaction.out_fields) == (4, 2)
    assert output.tolist() == [pytest.approx([603.0, 8040.0, *weighted])]


@pytest.mark.parametrize("bilinear", ["all", "each", "interaction"])
@pytest.mark.parametrize("gate", ["sigmoid", "relu"])
def test_it_is_a_loop_over_pairs(bilinear, gate):
    count, dim = 4, 3
    interaction = FiBiNET(count, dim, bilinear=bilinear, reduction=2, gate=gate).double()
    fields = torch.randn(5, count, dim, dtype=torch.float64)
    expected = []
    for row in fields:
        means = torch.stack([field.mean() for field in row])
        narrow = (interaction.squeeze.weight @ means).clamp(min=0)
        weights = interaction.excite.weight @ narrow
        weights = weights.clamp(min=0) if gate == "relu" else 1 / (1 + (-weights).exp())
        products = []
        for vectors in (row, weights[:, None] * row):
            for number, (i, j) in enumerate(combinations(range(count), 2)):
                which = {"all": 0, "each": i, "interaction": number}[bilinear]
                products.append((vectors[i] @ interaction.matrices[which]) * vectors[j])
        expected.append(torch.cat(products))
    torch.testing.assert_close(interaction(fields), torch.stack(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_fields": 1}, "num_fields should be at least 2, received 1"),
        ({"reduction": 0}, "reduction should be at least 1, received 0"),
        ({"bilinear": "every"}, "bilinear should be 'all' or 'each' or 'interaction', received 'every'"),
        ({"gate": "tanh"}, "gate should be 'sigmoid' or 'relu', received 'tanh'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        FiBiNET(**{"num_fields": 3, "dim": 4, **arguments})
