import pytest
import torch
from torchrec.sparse.jagged_tensor import JaggedTensor

from torchrec_ext.embeddings import pad_history
from torchrec_ext.errors import InputError

LENGTHS = [2, 0, 4, 1]


def _histories(values=None, lengths=LENGTHS, kind=torch.int64):
    values = torch.arange(1.0, 15.0).view(7, 2) if values is None else values
    return JaggedTensor(values=values, lengths=torch.tensor(lengths, dtype=kind))


@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
def test_padded_on_the_right_up_to_the_longest(kind):
    events, lengths = pad_history(_histories(kind=kind), max_length=10)
    assert events.tolist() == [
        [[1, 2], [3, 4], [0, 0], [0, 0]],
        [[0, 0], [0, 0], [0, 0], [0, 0]],
        [[5, 6], [7, 8], [9, 10], [11, 12]],
        [[13, 14], [0, 0], [0, 0], [0, 0]],
    ]
    assert lengths.tolist() == LENGTHS


@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
def test_the_newest_events_are_kept(kind):
    events, lengths = pad_history(_histories(kind=kind), max_length=2)
    assert events.tolist() == [
        [[1, 2], [3, 4]],
        [[0, 0], [0, 0]],
        [[9, 10], [11, 12]],
        [[13, 14], [0, 0]],
    ]
    assert lengths.tolist() == [2, 0, 2, 1]


@pytest.mark.parametrize(
    ("max_length", "expected"),
    # The pattern counts 1, 2, 3 ... along the padded events of width 1.
    [
        (4, [1, 2, 9, 10, 11, 12, 13]),
        (3, [1, 2, 0, 7, 8, 9, 10]),
        (1, [0, 1, 0, 0, 0, 3, 4]),
    ],
)
def test_gradient_reaches_kept_events_alone(max_length, expected):
    values = torch.randn(7, 1, requires_grad=True)
    events, _ = pad_history(_histories(values), max_length)
    pattern = torch.arange(1.0, events.numel() + 1).view_as(events)
    (slope,) = torch.autograd.grad(events, values, pattern)
    assert slope.flatten().tolist() == expected


def test_bfloat16_vectors():
    events, _ = pad_history(_histories(torch.ones(7, 2, dtype=torch.bfloat16)), max_length=2)
    assert events.dtype == torch.bfloat16
    assert events.sum() == 2 * (2 + 2 + 1)


@pytest.mark.parametrize("batch", [0, 3])
def test_no_event_at_all_gives_one_step_of_padding(batch):
    events, lengths = pad_history(_histories(torch.zeros(0, 2), [0] * batch), max_length=5)
    assert events.tolist() == [[[0.0, 0.0]]] * batch
    assert lengths.tolist() == [0] * batch


def test_wrong_input_is_named():
    with pytest.raises(InputError, match="max_length should be at least 1, received 0"):
        pad_history(_histories(), max_length=0)
    with pytest.raises(InputError, match=r"values should be \(events, width\), received \(7,\)"):
        pad_history(_histories(torch.zeros(7)), max_length=2)
