"""What the records say of timings made up by hand."""

import interleaved
import throughput_report
from throughput_settings import Case


def test_records_compare_within_a_round() -> None:
    timings = {
        "index_select": interleaved.Timing(1, [1.0, 2.0, 1.0], [1.0]),
        "first": interleaved.Timing(1, [2.0, 4.0, 2.0], [2.0]),
        "second": interleaved.Timing(1, [1.0, 1.0, 4.0], [1.0]),
    }
    case = Case(tables=1, rows=9, width=4, pooling=1, batch=5, zipf=0.0)
    gather, first, second = throughput_report.records(
        case, "update", timings, {"index_select": 10, "update": 40}, lookups=5
    )
    assert (gather["pass"], first["pass"]) == ("gather", "update")
    assert first["ratio_to_first"] == 1
    assert second["ratio_to_first"] == 2  # rounds: 2, 4, 1/2
    # 40 bytes in 2 s against 10 in 1 s, in every round; second: 4, 8 and 1 times the gather's rate.
    assert first["share_of_gather"] == 2
    assert second["share_of_gather"] == 4
    assert second["lookups_per_second"] == 5


def test_the_limit_is_the_faster_of_both_in_each_round() -> None:
    timings = {
        "index_select": interleaved.Timing(1, [1.0, 1.0, 1.0], [1.0]),
        "C gather": interleaved.Timing(1, [1.0, 4.0, 2.0], [2.0]),
        "packed torch": interleaved.Timing(1, [2.0, 2.0, 2.0], [2.0]),
        "ours": interleaved.Timing(1, [4.0, 8.0, 4.0], [4.0]),
    }
    case = Case(tables=1, rows=9, width=4, pooling=1, batch=5, zipf=0.0)
    step_bytes = {"index_select": 20, "forward": 10, "update": 30}
    found = throughput_report.records(case, "update", timings, step_bytes, lookups=5)
    assert [record["pass"] for record in found] == ["gather", "limit", "limit", "update"]
    # 30 bytes at 10 in 1, 2 and 2 s, by 4, 8 and 4 s
    assert found[-1]["share_of_limit"] == 0.75
    assert found[-1]["ratio_to_first"] == 1
