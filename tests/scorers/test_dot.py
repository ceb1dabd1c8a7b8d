import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.scorers import DotScorer


def test_shared_and_own_candidates():
    queries = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    shared = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    assert DotScorer(2)(queries, shared).tolist() == [[1.0, 2.0, 6.0], [3.0, -1.0, 4.0]]
    own = torch.stack([shared, -shared])
    assert DotScorer(2)(queries, own).tolist() == [[1.0, 2.0, 6.0], [-3.0, 1.0, -4.0]]


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (torch.zeros(3, 4), r"candidates should be \(candidates, 2\), received \(3, 4\)"),
        (torch.zeros(1, 3, 2), r"candidates should be \(2, candidates, 2\), received \(1, 3, 2\)"),
    ],
)
def test_wrong_shapes_are_named(candidates, message):
    with pytest.raises(InputError, match=message):
        DotScorer(2)(torch.zeros(2, 2), candidates)
