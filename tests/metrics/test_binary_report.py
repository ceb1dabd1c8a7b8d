import math

import pytest
import torch
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

from tests import processes
from torchrec_ext.errors import InputError
from torchrec_ext.metrics import BinaryReport

PROBABILITIES = torch.tensor([0.9, 0.4, 0.4, 0.4, 0.1, 0.6])
LABELS = torch.tensor([1, 1, 0, 0, 0, 0])
# Of the 2 x 4 pairs, .9 wins 4; .4 beats .1, ties twice and loses to .6.
BY_HAND = {
    "log_loss": -(math.log(0.9) + math.log(0.4) + 2 * math.log(0.6) + math.log(0.9) + math.log(0.4)) / 6,
    "auc": (4 + 1 + 2 * 0.5) / 8,
    "accuracy": 4 / 6,
    "rmse": math.sqrt((0.1**2 + 0.6**2 + 2 * 0.4**2 + 0.1**2 + 0.6**2) / 6),
}


@pytest.mark.parametrize("parts", [1, 2, 6])
@pytest.mark.parametrize("kind", [torch.int64, torch.float32, torch.bool])
def test_by_hand_in_any_number_of_parts(parts, kind):
    report = BinaryReport()
    for chances, answers in zip(PROBABILITIES.chunk(parts), LABELS.to(kind).chunk(parts), strict=True):
        report.update(chances, answers)
    assert report.compute() == pytest.approx(BY_HAND, abs=1e-7)


def test_equals_torchmetrics():
    # Three decimals, so that many probabilities tie.
    probabilities, labels = torch.rand(20_000, 2).mul(1000).round().div(1000), torch.randint(2, (20_000, 2))
    report = BinaryReport()
    report.update(probabilities, labels)
    received = report.compute()
    assert received["auc"] == pytest.approx(BinaryAUROC()(probabilities, labels).item(), abs=1e-6)
    assert received["accuracy"] == pytest.approx(BinaryAccuracy()(probabilities, labels).item(), abs=1e-6)


def test_certain_probabilities_cost_a_finite_loss():
    report = BinaryReport()
    report.update(torch.tensor([1.0, 0.0]), torch.tensor([0, 1]))
    assert report.compute() == {
        "log_loss": pytest.approx(-math.log(1e-7)),
        "auc": 0,
        "accuracy": 0,
        "rmse": 1,
    }


def test_one_class_has_no_auc():
    report = BinaryReport()
    report.update(torch.tensor([0.5, 0.5]), torch.tensor([1, 1]))
    figures = report.compute()
    assert math.isnan(figures.pop("auc"))
    assert figures == pytest.approx({"log_loss": math.log(2), "accuracy": 0.0, "rmse": 0.5})


def test_reset_forgets():
    report = BinaryReport()
    report.update(torch.tensor([0.1, 0.2]), torch.tensor([1, 0]))
    report.reset()
    report.update(PROBABILITIES, LABELS)
    assert report.compute() == pytest.approx(BY_HAND, abs=1e-7)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([0.5, 1.5], [0, 1], "probabilities should be from 0 to 1, received 1.5; apply the sigmoid"),
        ([0.5, math.nan], [0, 1], "probabilities should be from 0 to 1, received nan"),
        ([0.5, 0.5], [0, 5], "labels should be 0 or 1, received 5.0"),
        ([0.5, 0.5], [[0], [1]], r"labels should be \(2,\), received \(2, 1\)"),
    ],
)
def test_wrong_input_is_named(probabilities, labels, message):
    with pytest.raises(InputError, match=message):
        BinaryReport().update(torch.tensor(probabilities), torch.tensor(labels))


def test_ranks_with_unequal_shares_and_none():
    assert processes.run(_reports) == [[pytest.approx(BY_HAND, abs=1e-7)] * 4] * 2


def _reports() -> list[dict[str, float]]:
    torch.distributed.init_process_group("gloo")
    figures = []
    for first_share in (5, 6):  # the second rank has one example, then none
        mine = [slice(0, first_share), slice(first_share, 6)][torch.distributed.get_rank()]
        report = BinaryReport()
        for _ in range(2):  # computing does not end a report: everything twice has the same figures
            if len(LABELS[mine]):
                report.update(PROBABILITIES[mine], LABELS[mine])
            figures.append(report.compute())
    return figures
