import pytest
import torch
from torch import nn

from tests.distributed.test_shard import Words
from torchrec_ext.distributed import shard
from torchrec_ext.training.optimizers import make_optimizer


def test_adam_takes_what_no_fused_optimizer_updates():
    optimizer = make_optimizer(shard(Words()), 0.01)
    state = optimizer.state_dict()["state"]
    assert set(state) == {"bags.embedding_bags.word.weight", "over.weight", "over.bias"}
    assert set(state["over.weight"]) == {"step", "exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_the_steps_are_adams_from_the_first_on(weight_decay):
    model, plain = nn.Linear(3, 1), nn.Linear(3, 1)
    plain.load_state_dict(model.state_dict())
    dmp = shard(model)
    optimizer = make_optimizer(dmp, 0.1, weight_decay)
    assert torch.equal(model.weight, plain.weight), "nothing has been learnt yet"
    adam = torch.optim.AdamW(plain.parameters(), lr=0.1, weight_decay=weight_decay)
    for step in range(3):
        inputs = torch.full((2, 3), float(step + 1))
        for module, steps in ((dmp, optimizer), (plain, adam)):
            steps.zero_grad()
            module(inputs).square().sum().backward()
            steps.step()
        torch.testing.assert_close(model.weight, plain.weight)


def test_where_there_is_nothing_else_there_is_no_adam():
    model = Words()
    del model.over
    optimizer = make_optimizer(shard(model), 0.01)
    assert set(optimizer.state_dict()["state"]) == {"bags.embedding_bags.word.weight"}
