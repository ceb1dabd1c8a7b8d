from itertools import combinations

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import BiInteraction, FactorizationMachine


def test_three_fields_by_hand():
    interaction = BiInteraction(num_fields=3, dim=2)
    # First components 1*3 + 1*5 + 3*5, second ones 2*4 + 2*6 + 4*6.
    assert interaction.out_dim == 2
    assert interaction(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])).tolist() == [[23.0, 44.0]]


def test_it_is_a_loop_over_pairs_and_sums_to_a_factorization_machine():
    fields = torch.randn(5, 4, 3, dtype=torch.float64)
    expected = sum(fields[:, i] * fields[:, j] for i, j in combinations(range(4), 2))
    received = BiInteraction(4, 3)(fields)
    torch.testing.assert_close(received, expected)
    torch.testing.assert_close(received.sum(1, keepdim=True), FactorizationMachine(4, 3)(fields))


def test_dropout_falls_in_training_alone():
    interaction = BiInteraction(3, 64, dropout=0.5)
    fields = torch.rand(5, 3, 64) + 1
    assert 0.3 < (interaction(fields) == 0).float().mean() < 0.7
    assert (interaction.eval()(fields) != 0).all()


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="num_fields should be at least 2, received 1"):
        BiInteraction(1, 4)
    with pytest.raises(InputError, match="dropout should be at least 0 and below 1, received 1.0"):
        BiInteraction(2, 4, dropout=1.0)
