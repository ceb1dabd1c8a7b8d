import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.scorers import NeuMF
from torchrec_ext.scorers import neumf as file


def test_one_pair_by_hand():
    scorer = NeuMF(dim=2, hidden=(2, 1))
    with torch.no_grad():
        scorer.product_weights.copy_(torch.tensor([1.0, 0.5]))
        scorer.of_query.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        scorer.of_query.bias.copy_(torch.tensor([0.0, 1.0]))
        scorer.of_candidate.weight.copy_(torch.tensor([[0.0, 1.0], [-2.0, 0.0]]))
        scorer.deeper[0].weight.copy_(torch.tensor([[3.0, 5.0]]))
        scorer.deeper[0].bias.fill_(-1.0)
        scorer.last.weight.fill_(0.5)
    # product: 2 * 4 + .5 * 3 * 6 = 17; first layer 2 + 6 = 8 and 4 - 8 -> 0; second 24 - 1 = 23
    score = scorer(torch.tensor([[2.0, 3.0]]), torch.tensor([[4.0, 6.0]]))
    assert score.item() == pytest.approx(17 + 11.5)


@pytest.mark.parametrize("hidden", [(5,), (5, 4), (6, 4, 3)])
@pytest.mark.parametrize("block", [1, 10**6])
def test_equals_the_equations_pair_by_pair(hidden, block, monkeypatch):
    monkeypatch.setattr(file, "in_blocks", lambda *a, **k: _in_blocks(*a, **k, block=block))
    torch.manual_seed(0)
    scorer = NeuMF(dim=3, hidden=hidden).double()
    with torch.no_grad():
        for parameter in scorer.parameters():
            parameter.normal_()
    queries, own = torch.randn(4, 3).double(), torch.randn(4, 6, 3).double()
    for candidates in (own, own[0]):
        expected = torch.empty(4, 6).double()
        for row in range(4):
            for column in range(6):
                p, q = queries[row], candidates[row, column] if candidates.dim() == 3 else candidates[column]
                first = torch.cat([scorer.of_query.weight, scorer.of_candidate.weight], 1)
                z = (first @ torch.cat([p, q]) + scorer.of_query.bias).clamp(min=0)
                for layer in scorer.deeper:
                    z = (layer.weight @ z + layer.bias).clamp(min=0)
                h = torch.cat([scorer.product_weights, scorer.last.weight[0]])
                expected[row, column] = h @ torch.cat([p * q, z])
        torch.testing.assert_close(scorer(queries, candidates), expected, rtol=1e-12, atol=1e-12)


_in_blocks = file.in_blocks


def test_begins_close_to_a_dot_product():
    torch.manual_seed(0)
    queries, candidates = torch.randn(20, 16), torch.randn(30, 16)
    dots = queries @ candidates.T
    scores = NeuMF(dim=16)(queries, candidates)
    assert (scores - dots).std() < 0.05 * dots.std()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": (8, 0)}, "hidden should be at least 1, received 0"),
        ({"hidden": ()}, "hidden should hold the width of at least one layer"),
        ({"dim": 0}, "dim should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        NeuMF(**{"dim": 4, **arguments})
