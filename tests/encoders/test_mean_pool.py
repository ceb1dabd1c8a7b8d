import torch

from torchrec_ext.encoders import MeanPool


def test_each_state_is_the_mean_so_far():
    events = torch.tensor([[[1.0, 10.0], [3.0, 30.0], [8.0, 20.0]]])
    states = MeanPool(dim=2)(events, torch.tensor([3]))
    assert states.tolist() == [[[1.0, 10.0], [2.0, 20.0], [4.0, 20.0]]]


def test_a_long_bfloat16_history_keeps_its_precision():
    # A running sum in bfloat16 would stop growing at 256.
    states = MeanPool(dim=1)(torch.ones(1, 1000, 1, dtype=torch.bfloat16), torch.tensor([1000]))
    assert states.dtype == torch.bfloat16
    assert states[0, -1, 0] == 1


def test_first_state_is_on_the_modules_device():
    sums, counts = MeanPool(dim=2).to("meta").initial_state(3)
    assert sums.device.type == counts.device.type == "meta"
    assert MeanPool(dim=2).state_dict() == {}
