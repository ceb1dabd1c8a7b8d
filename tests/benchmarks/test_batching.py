"""The benchmark of batches through its own entry point, its builders, and what it refuses."""

import doctest
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import batching
import batching_contenders
import numpy as np
import pytest
import row_by_row
import torch
from batching import Settings, check
from batching_contenders import compare, training_part
from interleaved import Timing
from record import rows_of
from row_by_row import Lists, Rows

from tests.benchmarks.run_benchmark import run_benchmark
from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.errors import InputError

SMALL = Settings(users=20, events=12, items=30, history=4, batch=16, sampled=5, dim=8)
WANTED = Inputs(batching_contenders.CONTEXT, max_length=4, candidates=True)


def test_entry_point(tmp_path: Path) -> None:
    output = tmp_path / "batching.json"
    sizes = [
        word
        for name in ("users", "events", "items", "history", "batch", "sampled", "dim")
        for word in (f"--{name}", str(getattr(SMALL, name)))
    ]
    done = run_benchmark(
        "batching", *sizes, "--rounds", "2", "--block-seconds", "1e-6", "--output", str(output)
    )
    assert done.returncode == 0, done.stderr
    first, head, *lines = done.stdout.splitlines()
    assert first == "batches of 16 examples from a log of 200 events"
    assert head.split()[0] == "examples/s"
    others = ["lists", "DataLoader", "training"]
    names = [*(f"ours / {name}" for name in others), *others]
    titles = [line.strip() if line[0] != " " else re.split("  +", line.strip())[0] for line in lines]
    assert titles == ["LastEvents", *names, "LabelledEvents", *names]
    found = json.loads(output.read_text())
    assert found["benchmark"] == "batching" and found["machine"]["threads_per_process"] == 1
    rows = [row for row in rows_of(found) if row.ratio is not None]
    assert [row.reference for row in rows] == others * 2
    assert all(0 < row.low <= row.ratio <= row.high for row in rows)


@pytest.mark.parametrize("kind", ["last", "labelled"])
def test_builders_give_the_same_batch(kind: str) -> None:
    train = training_part(SMALL)
    examples: Any = LabelledEvents(train, train, WANTED)
    if kind == "last":
        examples = LastEvents(train, WANTED, Candidates("sampled", np.ones(30), 5))
    compare(examples, Lists(train.events, 4), SMALL)
    with pytest.raises(InputError, match=f"items_BT of {type(examples).__name__} differs"):
        compare(examples, Lists(train.events, 3), SMALL)


def test_rows_are_the_lists_padded_further() -> None:
    log = training_part(SMALL).events
    chosen = np.array([0, 7, 2, 55])
    lists, rows = Lists(log, 9)(chosen), Rows(log, 9)
    assert len(rows) == len(log)
    for place, event in enumerate(chosen.tolist()):
        items, times, length, context, target = rows[event]
        longest = lists.items_BT.shape[1]
        assert torch.equal(items[:longest], lists.items_BT[place]) and not items[longest:].any()
        assert torch.equal(times[:longest], lists.times_BT[place]) and not times[longest:].any()
        assert (length, target) == (lists.lengths_B[place], lists.targets_B[place])
        assert torch.equal(context, lists.context_BF[place])


def test_rows_compare_within_a_round() -> None:
    workload = batching_contenders.Workload("LastEvents", {}, 5.0, 0.1)
    timings = {
        name: Timing(1, rounds, [0.0])
        for name, rounds in {
            "ours": [1.0, 2.0, 4.0], "lists": [10.0, 40.0, 40.0], "training": [4.0, 8.0, 4.0],
        }.items()
    }  # fmt: skip
    lists, training, *others = batching.rows_of(workload, timings, batch=8)
    assert (lists.ratio, training.ratio) == (10, 4)  # 10, 20, 10 and 4, 4, 1
    assert (lists.low, lists.high) == (10, 15)
    assert [row.value for row in (lists, *others)] == [4, 0.2, 2, 100, 5]


WRONG = [
    ({"users": 0}, "--users is 0: give at least 1"),
    ({"events": 3}, "--events is 3: give at least 4"),
    ({"history": 0}, "--history is 0"),
    ({"block_seconds": 0.0}, "--block-seconds is 0.0"),
    ({"batch": 201}, "--batch is 201, but 20 users of 12 events are 200 examples"),
    ({"output": Path("/no/such/folder/file.json")}, "--output /no/such/folder/file.json"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_check_names_the_setting(change: dict[str, Any], message: str) -> None:
    check(SMALL)
    with pytest.raises(InputError) as refusal:
        check(replace(SMALL, **change))
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_examples() -> None:
    assert doctest.testmod(row_by_row) == (0, 4)
