import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.scorers import MixtureOfLogits
from torchrec_ext.scorers import mixture_of_logits as file

_in_blocks = file.in_blocks


def _silu(x):
    return x / (1 + math.exp(-x))


def test_one_pair_by_hand():
    scorer = MixtureOfLogits(dim=2, query_parts=2, candidate_parts=1, part_dim=2, gate_dim=1, temperature=0.5)
    with torch.no_grad():
        for parameter in scorer.parameters():
            parameter.fill_(0.0)
        scorer.parts_of_query.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]]))
        scorer.parts_of_candidate.weight.copy_(torch.eye(2))
        scorer.gate_of_query[2].bias.copy_(torch.tensor([3.0, 1.0]))
        scorer.gate_of_candidate[2].bias.copy_(torch.tensor([0.5, -1.0]))
        scorer.gate_of_logits[2].bias.copy_(torch.tensor([0.25, 2.0]))
    # parts (3, 4) and (4, 0) with (1, 0): cosines .6 and 1, over .5; gates 3 * .5 + .25 and 1 * -1 + 2
    first, second = math.exp(_silu(1.75)), math.exp(_silu(1.0))
    expected = (first * 1.2 + second * 2.0) / (first + second)
    score = scorer(torch.tensor([[3.0, 4.0]]), torch.tensor([[7.0, 0.0]]))
    assert score.item() == pytest.approx(expected, abs=1e-6)


def _two_layers(gate, x):
    hidden = gate[0].weight @ x + gate[0].bias
    return gate[2].weight @ (hidden * torch.sigmoid(hidden)) + gate[2].bias


@pytest.mark.parametrize(("query_parts", "candidate_parts"), [(3, 2), (1, 1), (1, 4)])
@pytest.mark.parametrize("block", [1, 10**6])
def test_equals_the_equations_pair_by_pair(query_parts, candidate_parts, block, monkeypatch):
    monkeypatch.setattr(file, "in_blocks", lambda *a, **k: _in_blocks(*a, **k, block=block))
    torch.manual_seed(0)
    scorer = MixtureOfLogits(
        3, query_parts, candidate_parts, part_dim=5, gate_dim=6, temperature=0.1
    ).double()
    queries, own = torch.randn(4, 3).double(), torch.randn(4, 6, 3).double()
    for candidates in (own, own[0]):
        expected = torch.empty(4, 6).double()
        for row in range(4):
            for column in range(6):
                q, x = queries[row], candidates[row, column] if candidates.dim() == 3 else candidates[column]
                query_parts_ = (scorer.parts_of_query.weight @ q + scorer.parts_of_query.bias).split(5)
                their_parts = (scorer.parts_of_candidate.weight @ x + scorer.parts_of_candidate.bias).split(5)
                logits = torch.stack(
                    [a @ b / (a.norm() * b.norm()) / 0.1 for a in query_parts_ for b in their_parts]
                )
                gate = _two_layers(scorer.gate_of_query, q) * _two_layers(scorer.gate_of_candidate, x)
                gate = gate + _two_layers(scorer.gate_of_logits, logits)
                raised = (gate * torch.sigmoid(gate)).exp()
                expected[row, column] = (raised / raised.sum() * logits).sum()
        torch.testing.assert_close(scorer(queries, candidates), expected, rtol=1e-11, atol=1e-11)


def test_scores_lie_within_the_temperature():
    scores = MixtureOfLogits(dim=4, temperature=0.25)(torch.randn(20, 4) * 9, torch.randn(30, 4) * 9)
    assert scores.abs().max() <= 4.0001


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0}, "temperature should be above 0, received 0"),
        ({"query_parts": 0}, "query_parts should be at least 1, received 0"),
        ({"gate_dim": -1}, "gate_dim should be at least 1, received -1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        MixtureOfLogits(dim=4, **arguments)
