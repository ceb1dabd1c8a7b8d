import pytest
import torch
from torch import nn

from torchrec_ext.dropout import Dropout


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.999])
def test_the_share_is_dropped_and_the_mean_kept(share):
    torch.manual_seed(0)
    vectors = torch.ones(1000, 1003)
    dropped = Dropout(share)(vectors)
    zero = (dropped == 0).double().mean().item()
    spread = (share * (1 - share) / vectors.numel()) ** 0.5
    assert zero == pytest.approx(share, abs=5 * spread)
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - share)), rtol=1e-2, atol=0)
    assert dropped.double().mean().item() == pytest.approx(1, abs=5 * spread / (1 - share) + 1e-9)


def test_components_are_dropped_independently():
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(4000, 64)) == 0).double() - 0.5
    together = dropped.T @ dropped / (4000 * 0.25)
    assert (together - torch.eye(64)).abs().max() < 0.1
    assert dropped[1:].flatten() @ dropped[:-1].flatten() / (dropped.numel() * 0.25) < 0.01


def test_gradients_go_where_values_went():
    vectors = torch.ones(50, 7, requires_grad=True)
    dropped = Dropout(0.5)(vectors)
    dropped.sum().backward()
    torch.testing.assert_close(vectors.grad, dropped.detach())


def test_it_follows_the_seed_and_rests_in_evaluation():
    drop, vectors = Dropout(0.5), torch.rand(4, 5)
    outputs = []
    for _ in range(2):
        torch.manual_seed(7)
        outputs.append(drop(vectors))
    assert torch.equal(*outputs)
    assert drop.eval()(vectors) is vectors
    assert isinstance(drop, nn.Dropout)


def test_no_component_and_half_precision():
    assert Dropout(0.5)(torch.zeros(0, 3)).shape == (0, 3)
    dropped = Dropout(0.2)(torch.ones(100, dtype=torch.bfloat16))
    assert dropped.dtype == torch.bfloat16 and set(dropped.tolist()) == {0.0, 1.25}


def test_a_trace_drops_too():
    traced = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 4), Dropout(0.5)).train())
    assert 0.3 < (traced(torch.randn(100, 4)) == 0).float().mean() < 0.7
