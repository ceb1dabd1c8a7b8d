import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.heads import SingleHead


def test_one_logit_a_task():
    head = SingleHead(in_dim=2, tasks=2)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        head.linear.bias.copy_(torch.tensor([0.5, 0.0]))
    assert head(torch.tensor([[3.0, 4.0]])).tolist() == [[11.5, -4.0]]


def test_wrong_width_is_named():
    with pytest.raises(InputError, match=r"vectors_BD should be \(batch, 2\), received \(1, 3\)"):
        SingleHead(in_dim=2)(torch.zeros(1, 3))
