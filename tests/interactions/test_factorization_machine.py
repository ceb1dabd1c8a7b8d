from itertools import combinations

import pytest
import torch
from torchrec.modules import deepfm

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import FactorizationMachine

THREE = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])


def with_weights(interaction):
    with torch.no_grad():
        interaction.linear.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 10.0, 0.5, 0.0]]))
        interaction.linear.bias.fill_(100.0)
    return interaction


def test_logit_by_hand():
    # Pairs: 1*3 + 2*4, 1*5 + 2*6, 3*5 + 4*6. Linear: 1*1 + 10*4 + .5*5 + 100.
    interaction = with_weights(FactorizationMachine(num_fields=3, dim=2, first_order=True))
    assert interaction.out_dim == 1
    assert interaction(THREE).tolist() == [[11 + 17 + 39 + 143.5]]


def test_bi_interaction_vector_by_hand():
    # Each component by itself: 1*3 + 1*5 + 3*5, then 2*4 + 2*6 + 4*6.
    interaction = with_weights(FactorizationMachine(num_fields=3, dim=2, pooled=False, first_order=True))
    assert interaction.out_dim == 3
    assert interaction(THREE).tolist() == [[23.0, 44.0, 143.5]]


@pytest.mark.parametrize("pooled", [True, False])
def test_it_is_the_loop_over_pairs(pooled):
    interaction = FactorizationMachine(5, 4, pooled=pooled, first_order=True).double()
    fields = torch.randn(6, 5, 4, dtype=torch.float64)
    weight, bias = interaction.linear.weight.reshape(5, 4), interaction.linear.bias
    expected = []
    for row in fields:
        linear = sum(weight[f, d] * row[f, d] for f in range(5) for d in range(4)) + bias[0]
        products = [sum(row[i, d] * row[j, d] for i, j in combinations(range(5), 2)) for d in range(4)]
        expected.append(torch.stack([sum(products) + linear] if pooled else [*products, linear]))
    torch.testing.assert_close(interaction(fields), torch.stack(expected))


def test_its_pairs_are_torchrecs():
    fields = torch.randn(6, 5, 4)
    theirs = deepfm.FactorizationMachine()
    interaction = FactorizationMachine(5 * 4, 1)
    # TorchRec's takes every component for a field of width 1.
    torch.testing.assert_close(interaction(fields.reshape(6, 20, 1)), theirs([fields]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_fields": 1, "dim": 2}, "num_fields should be at least 2, received 1"),
        ({"num_fields": 2, "dim": 0}, "dim should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        FactorizationMachine(**arguments)
