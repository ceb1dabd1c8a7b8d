import torch

from torchrec_ext.padding import at_least_one_event


def test_histories_of_0_events_get_one_of_zeros_and_others_stay():
    assert at_least_one_event(torch.ones(2, 0, 3)).tolist() == [[[0.0] * 3]] * 2
    assert at_least_one_event(torch.ones(0, 0, 3)).shape == (0, 1, 3)
    events = torch.rand(2, 1, 3)
    assert at_least_one_event(events) is events
