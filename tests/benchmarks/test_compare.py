"""The common schema of benchmarks, and which falls of ratios are named."""

import doctest
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import compare
import plot
import pytest
import record
import tables
from command import check_common
from record import Row

from torchrec_ext.errors import InputError

ROWS = [
    Row("100 rows", "ours", "rows/s", 10.0, "pandas", 2.0),
    Row("100 rows", "ours", "rows/s", 10.0, "polars", 0.5),
    Row("100 rows", "polars", "rows/s", 20.0),
]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record.write(path, "some", ROWS, packages=["numpy"], settings=compare.Settings(), results=[1])
    content = json.loads(path.read_text())
    assert record.rows_of(content) == ROWS
    names = ["schema", "benchmark", "machine", "versions", "command", "settings", "rows", "results"]
    assert list(content) == names
    assert "numpy" in content["versions"] and content["machine"]["cores"] >= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema is 2, expected 1"),
        ({"rows": [vars(ROWS[0]), vars(ROWS[0])]}, r"two rows are 100 rows \| ours"),
        ({"rows": [{**vars(ROWS[0]), "ratio": 0.0}]}, "the ratio of .* is 0.0"),
    ],
)
def test_a_record_that_would_be_read_wrongly_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record.rows_of({"schema": 1, "rows": [], **change})


def test_every_benchmark_with_quick_is_found_and_helpers_are_not() -> None:
    found = compare.quick_benchmarks()
    assert {"batching", "data_path", "modules", "scaling"} <= set(found)
    assert not {"compare", "record", "interleaved"} & set(found)


def with_runs(monkeypatch: pytest.MonkeyPatch, ratios: list[float]) -> None:
    """The benchmark ``batching`` gives these ratios, one a run; 0 fails."""
    left = iter(ratios)

    def run(name: str, limit: float) -> dict[str, Any]:
        if not (ratio := next(left)):
            raise RuntimeError("no such file")
        row = {"case": "c", "contender": "ours", "metric": "s", "value": 1, "reference": "b", "ratio": ratio}
        return {"schema": 1, "machine": {}, "versions": {}, "rows": [row]}

    monkeypatch.setattr(compare, "run_quick", run)


def start(monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setattr("sys.argv", ["compare.py", "--only", "batching", *words])
    with pytest.raises(SystemExit) as end:
        compare.main()
    return end.value.code


def test_a_median_that_fell_by_more_than_a_fifth_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = ("--stored", str(tmp_path / "stored.json"))
    with_runs(monkeypatch, [1.0, 9.0, 2.0])
    assert not start(monkeypatch, *stored, "--store")
    with_runs(monkeypatch, [1.7, 0.1, 1.7])  # 15% less in the median
    assert not start(monkeypatch, *stored)
    with_runs(monkeypatch, [1.5, 9.0, 1.5])
    assert start(monkeypatch, *stored) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "batching: c | ours | s | b fell by 25%: 2 -> 1.5"
    with_runs(monkeypatch, [0.0])
    assert start(monkeypatch, *stored, "--run-only") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "batching: no such file"


def test_an_unknown_benchmark_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(monkeypatch, "--only", "batchin") == 2
    assert "error: --only batchin: give some of " in capsys.readouterr().err


def test_rows_are_saved_and_drawn_where_the_settings_say(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "rows.svg"
    rows = [*ROWS, Row("100 rows", "ours", "peak MB", 3.0), Row("9 rows", "ours", "peak MB", 900.0)]
    record.save(SimpleNamespace(output=None, plot=path), "some", rows)
    image = path.read_text()
    texts = [
        "some",
        "rows/s: times as good as the reference",
        "ours / polars",
        "peak MB",
        "9 rows: ours",
        "900",
    ]
    assert all(f"<!-- {text} -->" in image for text in texts)
    assert "<!-- polars -->" not in image  # it is the reference
    with pytest.raises(InputError, match="--plot .*: give a file"):
        check_common(SimpleNamespace(output=None, plot=tmp_path / "none" / "rows.png"))


@pytest.mark.parametrize("module", [compare, plot, record, tables])
def test_examples(module: Any) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted and not failed
