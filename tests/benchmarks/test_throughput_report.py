"""What the rows say of timings made up by hand, and what they recommend."""

import doctest

import pytest
import throughput_report
from interleaved import Timing
from throughput_report import LIMIT, RATE, Load, Measured, recommend, rows_of_pass


def rows(ratios: dict[str, float]) -> list[throughput_report.Row]:
    return [throughput_report.Row("a", name, RATE, 1.0, LIMIT, ratio) for name, ratio in ratios.items()]


def test_the_limit_is_the_faster_of_both_in_each_round() -> None:
    limits = {
        "C gather": Timing(1, [1.0, 4.0, 2.0], [2.0]),
        "packed torch": Timing(1, [2.0, 2.0, 2.0], [2.0]),
    }
    timing = Timing(2, [4.0, 8.0, 4.0], [4.0])
    measured = {"ours": Measured(timing, [1.0, 2.0, 3.0], 5_000.0, 1.5)}
    load = Load(8_000_000, 7.0, {"forward": 10e9, "update": 30e9})
    found = rows_of_pass("a", "update", measured, limits, load)
    # 30 bytes at 10 in 1, 2 and 2 s, by 4, 8 and 4 s
    share = next(row for row in found if row.ratio)
    assert (share.contender, share.reference, share.value, share.ratio) == ("ours", "limit", 2.0, 0.75)
    figures = {(row.contender, row.metric): row.value for row in found}
    assert figures["limit", RATE] == pytest.approx(8 / 6)
    assert figures["ours", "GB/s"] == 30 / 4
    assert figures["ours", "p50 ms"] == 2000
    assert figures["ours", "p99 ms"] == pytest.approx(2980)
    assert figures["ours", "KB sent"] == 5
    assert figures["ids", "distinct rows"] == 7
    assert ("C gather", RATE) not in figures, "it does no update"


def test_it_recommends_the_fastest_that_is_trained_on_all_ranks() -> None:
    update = rows({"embedding_bag": 0.5, "row_wise": 0.25, "table_wise fp16": 0.3})
    forward = rows({"embedding_bag": 0.5, "quantised int8": 0.52, "quantised int4": 0.51})
    assert recommend("2 tables", 2, {"update": update, "forward": forward}) == (
        "For 2 tables: train with row_wise sharding on the fused table-batched kernel (0.25 of the limit; "
        "table_wise sharding on the fused table-batched kernel in fp16 is 1.20 times as fast), and look up "
        "with nn.EmbeddingBag (0.50 of the limit)."
    )
    assert "train with nn.EmbeddingBag" in recommend("2 tables", 1, {"update": update})


def test_examples() -> None:
    assert doctest.testmod(throughput_report) == (0, 2)
