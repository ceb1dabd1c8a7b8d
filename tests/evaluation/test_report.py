import json

import pytest

from torchrec_ext.evaluation import Report

REPORT = Report(
    {"ndcg@10": 0.12345, "users": 1, "items": 12_345, "coverage@10": 1.0}, protocol="p", part="test"
)


def test_it_is_a_mapping_of_its_figures():
    assert REPORT["users"] == 1 and len(REPORT) == 4
    assert dict(REPORT) == REPORT.figures
    with pytest.raises(KeyError):
        REPORT["auc"]


def test_it_prints_counts_whole_and_shares_with_four_places():
    assert str(REPORT) == (
        "test (p)\n"
        "ndcg@10      0.1235\n"
        "users        1\n"
        "items        12,345\n"
        "coverage@10  1.0000"
    )  # fmt: skip


def test_it_is_written_down_with_its_protocol():
    written = json.loads(json.dumps(REPORT.as_json(seed=3)))
    assert written == {**REPORT, "protocol": "p", "part": "test", "counts": {}, "seed": 3}
