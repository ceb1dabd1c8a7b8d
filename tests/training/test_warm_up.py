import pytest
import torch
from torch import nn

from torchrec_ext.distributed import shard
from torchrec_ext.training.optimizers import make_optimizer
from torchrec_ext.training.warm_up import WarmUp


@pytest.mark.parametrize(("steps", "wanted"), [(4, [0.25, 0.5, 0.75, 1, 1]), (0, [1, 1, 1, 1, 1])])
def test_the_first_steps_are_smaller(steps, wanted):
    """Adam's first step on a constant gradient is as long as the learning rate."""
    model = nn.Linear(1, 1, bias=False)
    dmp = shard(model)
    optimizer = make_optimizer(dmp, 0.1)
    warm_up = WarmUp(optimizer, steps)
    for step, share in enumerate(wanted):
        before = model.weight.item()
        warm_up.at(step)
        optimizer.zero_grad()
        dmp(torch.ones(1, 1)).sum().backward()
        optimizer.step()
        assert before - model.weight.item() == pytest.approx(0.1 * share, rel=1e-3)
