import math

import pytest
import torch
from torch.nn import functional

from torchrec_ext.errors import InputError
from torchrec_ext.losses import SoftmaxCrossEntropy, softmax_cross_entropy

# Softmax of the first row: 1/6, 2/6, 3/6; of the second: 1/4, 1/4, 2/4.
LOGITS = torch.log(torch.tensor([[1.0, 2.0, 3.0], [5.0, 5.0, 10.0], [7.0, 1.0, 1.0]]))
LABELS = torch.tensor([2, 0, -1])
BY_HAND = [-math.log(3 / 6), -math.log(1 / 4)]


def test_by_hand():
    assert softmax_cross_entropy(LOGITS, LABELS).item() == pytest.approx(sum(BY_HAND) / 2)
    assert softmax_cross_entropy(LOGITS, LABELS, reduction="sum").item() == pytest.approx(sum(BY_HAND))


def test_weights_by_hand():
    weights = torch.tensor([3.0, 1.0, 100.0])
    total = 3 * BY_HAND[0] + BY_HAND[1]
    assert softmax_cross_entropy(LOGITS, LABELS, weights, reduction="sum").item() == pytest.approx(total)
    assert softmax_cross_entropy(LOGITS, LABELS, weights).item() == pytest.approx(total / 4)


def test_log_q_by_hand():
    # Over the probabilities 1/2, 1, 1/4 the first row becomes 2, 2, 12 and the second 10, 5, 40.
    log_q = torch.log(torch.tensor([0.5, 1.0, 0.25]))
    expected = (-math.log(12 / 16) - math.log(10 / 55)) / 2
    assert softmax_cross_entropy(LOGITS, LABELS, log_q_C=log_q).item() == pytest.approx(expected)


def test_equals_torch_with_its_gradient():
    logits, labels = torch.randn(20, 7, requires_grad=True), torch.randint(-1, 7, (20,))
    weights = torch.ones(20)
    expected = functional.cross_entropy(logits, labels, ignore_index=-1)
    slope = torch.autograd.grad(expected, logits)[0]
    for received in (softmax_cross_entropy(logits, labels), softmax_cross_entropy(logits, labels, weights)):
        torch.testing.assert_close(received, expected)
        torch.testing.assert_close(torch.autograd.grad(received, logits)[0], slope)


def test_bfloat16_logits_are_summed_in_float32():
    logits = torch.zeros(1, 1000, dtype=torch.bfloat16)
    loss = softmax_cross_entropy(logits, torch.tensor([0]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(1000))


@pytest.mark.parametrize(
    ("rows", "labels", "weights"),
    [(2, [-1, -1], None), (2, [0, 1], [0.0, 0.0]), (2, [-1, -1], [1.0, 1.0]), (0, [], None)],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_nothing_to_learn_is_zero_with_a_gradient(rows, labels, weights, reduction):
    logits = torch.randn(rows, 3, requires_grad=True)
    weights = None if weights is None else torch.tensor(weights)
    labels = torch.tensor(labels, dtype=torch.int64)
    loss = softmax_cross_entropy(logits, labels, weights, reduction=reduction)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.tolist() == [[0.0] * 3] * rows


ITEMS, ROWS = 50, 32


@pytest.mark.parametrize("extra", [0, 40], ids=["in-batch", "in-batch and sampled"])
def test_log_q_makes_a_samples_gradient_that_of_the_whole_catalogue(extra):
    # Targets are drawn by popularity; candidates are the batch's targets and, with ``extra``, items
    # that are drawn by popularity too. Gradients are summed over 500 batches.
    generator = torch.Generator().manual_seed(0)
    popularity = 1 / torch.arange(1, ITEMS + 1)
    popularity /= popularity.sum()
    logits = torch.randn(ROWS, ITEMS, generator=generator) / 2 + 0.3 * popularity.log()
    logits.requires_grad_()
    drawn = (popularity * extra).clamp(max=0.9)
    log_q = torch.log(1 - (1 - drawn) * (1 - popularity) ** ROWS)
    whole = corrected = uncorrected = torch.zeros(ROWS, ITEMS)
    for _ in range(500):
        targets = torch.multinomial(popularity, ROWS, replacement=True, generator=generator)
        chosen = torch.rand(ITEMS, generator=generator) < drawn
        chosen[targets] = True
        candidates = chosen.nonzero().squeeze(1)
        labels = torch.searchsorted(candidates, targets)
        whole = whole + _slope(softmax_cross_entropy(logits, targets), logits)
        loss = softmax_cross_entropy(logits[:, candidates], labels, log_q_C=log_q[candidates])
        corrected = corrected + _slope(loss, logits)
        uncorrected = uncorrected + _slope(softmax_cross_entropy(logits[:, candidates], labels), logits)
    assert (corrected - whole).norm() < 0.1 * whole.norm()
    assert (uncorrected - whole).norm() > 0.25 * whole.norm()


def test_a_subset_of_the_targets_has_the_gradient_of_the_whole_catalogue():
    # As above, but 24 of the 32 targets compete with every target; no target's own logit is corrected.
    generator = torch.Generator().manual_seed(0)
    popularity = 1 / torch.arange(1, ITEMS + 1)
    popularity /= popularity.sum()
    logits = torch.randn(ROWS, ITEMS, generator=generator) / 2 + 0.3 * popularity.log()
    logits.requires_grad_()
    log_q = torch.log(1 - (1 - popularity) ** 24)
    whole = corrected = uncorrected = torch.zeros(ROWS, ITEMS)
    for _ in range(500):
        targets = torch.multinomial(popularity, ROWS, replacement=True, generator=generator)
        shared = targets[torch.randperm(ROWS, generator=generator)[:24]].unique()
        others = logits[:, shared].masked_fill(shared == targets[:, None], -torch.inf)
        candidates = torch.cat([others, logits.gather(1, targets[:, None])], 1)
        last, log_q_of = torch.full((ROWS,), len(shared)), torch.cat([log_q[shared], torch.zeros(1)])
        whole = whole + _slope(softmax_cross_entropy(logits, targets), logits)
        loss = softmax_cross_entropy(candidates, last, log_q_C=log_q_of)
        corrected = corrected + torch.autograd.grad(loss, logits, retain_graph=True)[0]
        uncorrected = uncorrected + _slope(softmax_cross_entropy(candidates, last), logits)
    assert (corrected - whole).norm() < 0.1 * whole.norm()
    assert (uncorrected - whole).norm() > 0.25 * whole.norm()


def _slope(loss, logits):
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(3), torch.zeros(3)), r"logits_NC should be \(targets, candidates\), received \(3,\)"),
        ((torch.zeros(3, 2), torch.zeros(2)), r"labels_N should be \(3,\), received \(2,\)"),
        ((LOGITS, LABELS, torch.ones(3, 1)), r"weights_N should be \(3,\), received \(3, 1\)"),
    ],
)
def test_wrong_shapes_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        softmax_cross_entropy(*arguments)


@pytest.mark.parametrize("label", [3, 7, -2])
def test_a_label_that_is_not_a_candidate_is_named(label):
    for call in (softmax_cross_entropy, SoftmaxCrossEntropy()):
        with pytest.raises(InputError, match=f"from -1 to 2, as there are 3 candidates; received {label}"):
            call(torch.zeros(2, 3), torch.tensor([-1, label]))


def test_wrong_log_q_is_named():
    with pytest.raises(InputError, match=r"log_q_C should be \(3,\), received \(2,\)"):
        softmax_cross_entropy(LOGITS, LABELS, log_q_C=torch.zeros(2))
