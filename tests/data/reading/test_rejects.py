"""Rows set aside: counted, sampled, written, and too many refused."""

import pyarrow.parquet as pq
import pytest

from torchrec_ext.data.reading.rejects import Rejects
from torchrec_ext.errors import InputError


def test_they_are_counted_and_written(tmp_path):
    rejects = Rejects()
    rejects.add("a.csv", [3, 5], "price", "unparsable number", ["x" * 500, "y"])
    rejects.add("b.csv", [2], "", "wrong number of fields", ["\ud800"])
    rejects.add("b.csv", [], "", "wrong number of fields", [])
    rejects.add("b.csv", [9], "user", "missing id", [None])
    assert rejects.total == 4
    assert rejects.counts() == {"unparsable number": 2, "wrong number of fields": 1, "missing id": 1}
    rejects.write(tmp_path / "bad.parquet")
    assert pq.read_table(tmp_path / "bad.parquet").to_pydict() == {
        "file": ["a.csv", "a.csv", "b.csv", "b.csv"],
        "line": [3, 5, 2, 9],
        "column": ["price", "price", "", "user"],
        "reason": ["unparsable number"] * 2 + ["wrong number of fields", "missing id"],
        "value": ["x" * 200, "y", "?", None],
    }
    with pytest.raises(InputError, match="cannot write the bad rows to"):
        rejects.write(tmp_path / "nowhere" / "bad.parquet")


def test_beyond_the_limit_only_counts_go_on(tmp_path, caplog):
    rejects = Rejects(limit=3)
    rejects.add("a.csv", [1, 2], "", "one", ["a", "b"])
    rejects.add("a.csv", [3, 4, 5], "", "two", ["c", "d", "e"])
    rejects.add("a.csv", [6], "", "three", ["f"])
    assert rejects.room == 0 and rejects.total == 6
    rejects.write(tmp_path / "bad.parquet")
    assert pq.read_table(tmp_path / "bad.parquet")["line"].to_pylist() == [1, 2, 3]
    assert "holds the first 3 of 6 bad rows" in caplog.text
    with pytest.raises(InputError, match="1 with three \\(line 6: 'f'\\)"):
        rejects.check(6, 0.5, "a.csv")


def test_too_large_a_share_is_refused_in_one_line():
    rejects = Rejects()
    for n in range(6):
        rejects.add("a.csv", range(10 * n, 11 * n + 1), "c", f"reason {n}", ["v\nw"])
    rejects.check(210, 0.1, "a.csv")
    with pytest.raises(InputError) as caught:
        rejects.check(200, 0.1, "a.csv")
    message = str(caught.value)
    assert message.startswith(
        "21 of 200 rows of a.csv are bad (10.50%), more than 10.00%: 6 with reason 5 (line 50"
    )
    assert "column 'c': 'v\\nw'" in message and "reason 1" in message and "reason 0" not in message
    assert "\n" not in message


def test_the_commonest_reason_brings_a_hint():
    rejects = Rejects()
    rejects.add("a.csv", [2], "", "broken encoding", ["x"])
    with pytest.raises(InputError, match="convert the file to UTF-8"):
        rejects.check(1, 0, "a.csv")
