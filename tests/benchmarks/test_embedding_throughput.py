"""The benchmark through its own entry point, and what it counts, against values worked out by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import record
import sent_bytes
import torch
import torch.distributed as dist
from contenders import SHARDINGS
from throughput_settings import Case, Settings, check, check_memory

from tests.benchmarks.run_benchmark import run_benchmark
from torchrec_ext.errors import InputError

ALL = ("embedding_bag", "unsharded_ebc", *SHARDINGS)
TINY = ["--tables", "2", "--rows", "50", "--width", "8", "--pooling", "1", "3", "--batch", "8"]
TINY += ["--rounds", "3", "--block-seconds", "0.002"]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
def test_entry_point(processes: int, tmp_path: Path) -> None:
    output, plot = tmp_path / "throughput.json", tmp_path / "throughput.png"
    done = run_benchmark("embedding_throughput",
        *TINY, "--contenders", *ALL, "quantised", "--precision", "fp32", "fp16",
        "--optimizer", "sgd", "adagrad", "--output", str(output), "--plot", str(plot), processes=processes,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("For 2 tables x 50 rows x 8 wide") == 2, "rank 0 alone prints, once a case"
    assert plot.read_bytes().startswith(b"\x89PNG")
    found = json.loads(output.read_text())
    ranks = max(1, processes)
    assert found["world_size"] == ranks
    assert found["settings"]["pooling"] == [1, 3]
    rows = record.rows_of(found)
    assert len({row.case for row in rows}) == 6, "forward and an update by two optimizers, for each pooling"
    for pooling in (1, 3):
        forward = [row for row in rows if row.case.startswith("forward") and f"pooling {pooling}" in row.case]
        figures = {(row.contender, row.metric): row.value for row in forward}
        shares = {row.contender for row in forward if row.ratio}
        fused = {"table_wise", "row_wise", "column_wise"}
        assert shares == {*ALL, "quantised", "quantised fp16"} | {f"{name} fp16" for name in fused}
        assert figures["ids", "accesses"] == ranks * 2 * 8 * pooling
        assert 0 < figures["ids", "distinct rows"] <= figures["ids", "accesses"]
        assert figures["table_wise", "p50 ms"] <= figures["table_wise", "p99 ms"]
        # rows of 8 float32: a lookup reads 32 bytes, a bag (16 a rank) writes 32
        seconds = figures["ids", "accesses"] / figures["table_wise", "M lookups/s"] / 1e6
        moved = 32 * (figures["ids", "accesses"] + 16 * ranks)
        assert figures["table_wise", "GB/s"] == pytest.approx(moved / seconds / 1e9)
        # of the other rank's table: 8 lengths and its ids; 8 vectors; 3 numbers that announce them
        sent = 8 * 8 + 8 * pooling * 8 + 8 * 32 + 3 * 8
        assert figures["table_wise", "KB sent"] == pytest.approx(sent / 1e3 * (ranks - 1))
        assert figures["embedding_bag", "KB sent"] == 0
        assert figures["table_wise", "imbalance"] == 1
        update = [
            row for row in rows if row.case.startswith("update with sgd") and f"pooling {pooling}" in row.case
        ]
        figures = {(row.contender, row.metric): row.value for row in update}
        # a ring sends each gradient of 2 x 50 rows twice, but for the share of a rank
        assert figures["data_parallel", "KB sent"] == pytest.approx(3.2 * 2 * (ranks - 1) / ranks)


@pytest.mark.slow
def test_entry_point_refuses() -> None:
    refused = run_benchmark("embedding_throughput", "--width", "50")
    assert refused.returncode == 2
    *_, last = refused.stderr.splitlines()
    assert last == "error: --width contains 50: the fused kernels need a multiple of 4, give 52"
    assert "Traceback" not in refused.stderr
    unknown = run_benchmark("embedding_throughput", "--tabels", "3", processes=2)
    assert unknown.returncode != 0
    assert "Unrecognized options: --tabels" in unknown.stderr
    assert "--tables" in unknown.stderr


WRONG = [
    ({"rows": ()}, "--rows is empty"),
    ({"pooling": (0,)}, "--pooling is 0"),
    ({"rounds": 0}, "--rounds is 0"),
    ({"zipf": (-1.0,)}, "--zipf contains -1.0"),
    ({"block_seconds": 0.0}, "--block-seconds is 0.0"),
    ({"contenders": ("row_wise", "row_wise")}, "--contenders is row_wise row_wise"),
    ({"output": Path("/no/such/folder/file.json")}, "--output /no/such/folder/file.json"),
    ({"width": (10,), "contenders": ("column_wise",)}, "--width contains 10"),
    (
        {"precision": ("int8",)},
        "--contenders embedding_bag unsharded_ebc table_wise row_wise quantised in --prec",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_check_names_the_setting(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        check(replace(Settings(), **change))
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


@pytest.mark.usefixtures("group_of_one")
def test_check_memory() -> None:
    check_memory(Settings(rows=(100,)))
    with pytest.raises(InputError, match=r"^4 tables x 2,000,000,000 rows .* GB per rank"):
        check_memory(Settings(rows=(2_000_000_000,)))


def test_check_accepts() -> None:
    check(Settings())
    check(Settings(rows=(100,), width=(50,), contenders=("embedding_bag", "unsharded_ebc")))


def test_batches_visit_as_many_rows_as_there_are() -> None:
    # 3 x 4 x 5 lookups a batch: 3 x 1,000 rows take 50 batches.
    assert Case(tables=3, rows=1_000, width=4, pooling=5, batch=4, zipf=0.0).batches == 50


@pytest.mark.usefixtures("group_of_one")
def test_one_rank_sends_nothing_and_unknown_collectives_are_an_error() -> None:
    given = torch.zeros(4)
    assert sent_bytes.sent_bytes(lambda: dist.all_reduce(given)) == 0
    with pytest.raises(ValueError, match="the bytes of broadcast_ are unknown"):
        sent_bytes.sent_bytes(lambda: dist.broadcast(given, 0))
