import math

import pytest
import torch
from torch.nn import functional

from torchrec_ext.errors import InputError
from torchrec_ext.losses import BinaryCrossEntropy, binary_cross_entropy

LOGITS = torch.tensor([math.log(3.0), math.log(1 / 4), 0.0])  # probabilities 3/4, 1/5, 1/2
LABELS = torch.tensor([1.0, 0.0, 1.0])
BY_HAND = [-math.log(3 / 4), -math.log(4 / 5), -math.log(1 / 2)]


def test_by_hand():
    assert binary_cross_entropy(LOGITS, LABELS).item() == pytest.approx(sum(BY_HAND) / 3)
    assert binary_cross_entropy(LOGITS, LABELS, reduction="sum").item() == pytest.approx(sum(BY_HAND))


def test_a_positive_is_a_negative_too_only_if_it_is_weighed():
    with pytest.raises(InputError, match="also_negative is for positives that are weighed"):
        BinaryCrossEntropy(also_negative=True)


def test_weights_by_hand():
    weights = torch.tensor([1.0, 0.0, 3.0])
    total = BY_HAND[0] + 3 * BY_HAND[2]
    assert binary_cross_entropy(LOGITS, LABELS, weights, reduction="sum").item() == pytest.approx(total)
    assert binary_cross_entropy(LOGITS, LABELS, weights).item() == pytest.approx(total / 4)


@pytest.mark.parametrize("labels", [LABELS.bool(), LABELS.long(), LABELS.double()])
def test_labels_of_any_type(labels):
    assert torch.equal(binary_cross_entropy(LOGITS, labels), binary_cross_entropy(LOGITS, LABELS))


def test_equals_torch_on_a_matrix_of_tasks():
    logits, labels = torch.randn(9, 2), torch.rand(9, 2)
    expected = functional.binary_cross_entropy_with_logits(logits, labels)
    torch.testing.assert_close(binary_cross_entropy(logits, labels), expected)


def test_large_logits_stay_finite():
    assert binary_cross_entropy(torch.tensor([1e4, -1e4]), torch.tensor([0.0, 1.0])).item() == 1e4


@pytest.mark.parametrize(
    ("logits", "weights"),
    [(torch.randn(3), torch.zeros(3)), (torch.randn(0), None), (torch.randn(0), torch.ones(0))],
)
def test_nothing_to_learn_is_zero_with_a_gradient(logits, weights):
    logits.requires_grad_()
    loss = binary_cross_entropy(logits, torch.ones(len(logits)), weights)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.tolist() == [0.0] * len(logits)


def test_a_last_axis_too_many_is_refused():
    # Broadcasting (3, 1) with (3,) would silently compare every logit with every label.
    with pytest.raises(InputError, match=r"labels should be \(3, 1\), received \(3,\)"):
        binary_cross_entropy(LOGITS.unsqueeze(1), LABELS)
    with pytest.raises(InputError, match=r"weights should be \(3,\), received \(2,\)"):
        binary_cross_entropy(LOGITS, LABELS, torch.ones(2))
    with pytest.raises(InputError, match="reduction should be 'mean' or 'sum' or 'none', received 'max'"):
        binary_cross_entropy(LOGITS, LABELS, reduction="max")
