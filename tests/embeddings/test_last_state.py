import pytest
import torch

from torchrec_ext.embeddings import last_state
from torchrec_ext.errors import InputError

STATES = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]], [[7.0], [8.0], [9.0]]])


@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
def test_newest_state_and_zeros_for_an_empty_history(kind):
    assert last_state(STATES, torch.tensor([3, 0, 1], dtype=kind)).tolist() == [[3.0], [0.0], [7.0]]


def test_a_length_beyond_the_events_counts_as_all_of_them():
    assert last_state(STATES, torch.tensor([9, 2, 3])).tolist() == [[3.0], [5.0], [9.0]]


def test_gradient_reaches_that_state_alone():
    states = STATES.clone().requires_grad_()
    last_state(states, torch.tensor([2, 0, 3])).sum().backward()
    assert states.grad.squeeze(2).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_nothing_of_an_empty_history_comes_through():
    states = torch.full((1, 2, 3), float("nan"))
    assert last_state(states, torch.tensor([0])).tolist() == [[0.0] * 3]
    assert last_state(torch.zeros(2, 0, 3), torch.tensor([0, 0])).tolist() == [[0.0] * 3] * 2


def test_wrong_shapes_are_named():
    with pytest.raises(InputError, match=r"lengths_B should be \(3,\), received \(2,\)"):
        last_state(STATES, torch.tensor([1, 1]))
    with pytest.raises(InputError, match=r"states_BTD should be \(batch, events, width\), received \(3, 3\)"):
        last_state(STATES.squeeze(2), torch.tensor([1, 1, 1]))
