"""The benchmark through its own entry point, and what it counts, against values worked out by hand."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import limit
import pytest
import torch
from contenders import SHARDINGS
from throughput_settings import Case, Settings, check, check_memory

from torchrec_ext.errors import InputError

ROOT = Path(__file__).parents[2]
ALL = ("embedding_bag", "unsharded_ebc", *SHARDINGS)
TINY = ["--tables", "2", "--rows", "50", "--width", "8", "--pooling", "1", "3", "--batch", "8"]
TINY += ["--rounds", "3", "--block-seconds", "0.002"]


def start(*arguments: str, processes: int = 0) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.run(
        [sys.executable, *(launcher if processes else []), "benchmarks/embedding_throughput.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
def test_entry_point(processes: int, tmp_path: Path) -> None:
    output, plot = tmp_path / "throughput.json", tmp_path / "throughput.png"
    done = start(
        *TINY, "--contenders", *ALL, "--output", str(output), "--plot", str(plot), processes=processes
    )
    assert done.returncode == 0, done.stderr
    ranks = max(1, processes)
    assert done.stdout.count("2 tables x 50 rows x 8 wide") == 2, "rank 0 alone prints, once a case"
    assert plot.read_bytes().startswith(b"\x89PNG")
    found = json.loads(output.read_text())
    assert found["benchmark"] == "embedding_throughput"
    assert found["world_size"] == ranks
    assert found["machine"]["threads_per_process"] == 1
    assert found["machine"]["cpu"]
    assert {"python", "torch", "torchrec"} <= set(found["versions"])
    assert found["settings"]["pooling"] == [1, 3]
    results = found["results"]
    assert [(r["pooling"], r["compared_pass"], r["contender"]) for r in results] == [
        (pooling, stage, name)
        for pooling in (1, 3)
        for stage in ("forward", "update")
        for name in ("index_select", *limit.NAMES, *ALL)
    ]
    for r in results:
        median = r["seconds_median"]
        lookups = ranks * 2 * 8 * r["pooling"]
        assert r["lookups_per_step"] == lookups
        assert r["lookups_per_second"] == pytest.approx(lookups / median)
        assert r["lookups_per_second_per_rank"] == pytest.approx(lookups / median / ranks)
        assert r["gigabytes_per_second"] == pytest.approx(r["bytes_per_step"] / median / 1e9)
        assert median == sorted(r["seconds_rounds"])[1]
        assert r["seconds_lower_quartile"] <= median <= r["seconds_upper_quartile"]
        assert len(r["seconds_median_by_rank"]) == ranks
        assert max(r["seconds_median_by_rank"]) <= max(r["seconds_rounds"])
        # Rows of 8 float32: a lookup reads 32 bytes, a bag (16 a rank) writes 32.
        forward = 32 * (lookups + 16 * ranks)
        if r["pass"] == "gather":
            assert r["bytes_per_step"] == 64 * lookups
            assert r["share_of_gather"] == pytest.approx(1)
        elif r["pass"] in ("forward", "limit"):
            assert r["bytes_per_step"] == forward
        else:
            # A gradient row a bag; each row touched is read and written with 4 bytes of state.
            distinct = (r["bytes_per_step"] - forward - 32 * 16 * ranks) / 72
            assert 16 * ranks / 2 < distinct <= lookups
        if r["contender"] == "embedding_bag":
            assert r["ratio_to_first"] == 1


@pytest.mark.slow
def test_entry_point_refuses() -> None:
    refused = start("--width", "50")
    assert refused.returncode == 2
    *_, last = refused.stderr.splitlines()
    assert last == "error: --width contains 50: the fused kernels need a multiple of 4, give 52"
    assert "Traceback" not in refused.stderr
    unknown = start("--tabels", "3", processes=2)
    assert unknown.returncode != 0
    assert unknown.stderr.count("Unrecognized options: --tabels") == 1, "rank 0 alone says it"
    assert "--tables" in unknown.stderr


WRONG = [
    ({"rows": ()}, "--rows is empty"),
    ({"pooling": (0,)}, "--pooling contains 0"),
    ({"rounds": 0}, "--rounds is 0"),
    ({"zipf": (-1.0,)}, "--zipf contains -1.0"),
    ({"block_seconds": 0.0}, "--block-seconds is 0.0"),
    ({"contenders": ("row_wise", "row_wise")}, "--contenders contains a name twice: row_wise"),
    ({"output": Path("/no/such/folder/file.json")}, "--output /no/such/folder/file.json"),
    ({"width": (10,), "contenders": ("column_wise",)}, "--width contains 10"),
    ({"device": "cuda"}, "--device cuda needs a GPU for each of 1 local ranks"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_check_names_the_setting(
    change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError) as refusal:
        check(replace(Settings(), **change))
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


@pytest.mark.usefixtures("group_of_one")
def test_check_memory() -> None:
    check_memory(Settings(rows=(100,)))
    with pytest.raises(InputError, match=r"^4 tables x 2,000,000,000 rows .* needs 16448\.0 GB"):
        check_memory(Settings(rows=(2_000_000_000,)))


def test_check_accepts() -> None:
    check(Settings())
    check(Settings(rows=(100,), width=(50,), contenders=("embedding_bag", "unsharded_ebc")))


def test_batches_visit_as_many_rows_as_there_are() -> None:
    # 3 x 4 x 5 lookups a batch: 3 x 1,000 rows take 50 batches.
    assert Case(tables=3, rows=1_000, width=4, pooling=5, batch=4, zipf=0.0).batches == 50
