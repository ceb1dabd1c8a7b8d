import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.scorers import CosineScorer


def test_angles_alone_count():
    queries = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    candidates = torch.tensor([[30.0, 40.0], [-4.0, 3.0], [5.0, 0.0]])
    scores = CosineScorer(2, temperature=0.5)(queries, candidates)
    torch.testing.assert_close(scores, torch.tensor([[2.0, 0.0, 1.2], [0.0, 0.0, 0.0]]))


def test_temperature_is_positive():
    with pytest.raises(InputError, match="temperature should be above 0, received 0"):
        CosineScorer(2, temperature=0)
