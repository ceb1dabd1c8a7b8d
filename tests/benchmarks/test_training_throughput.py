"""The benchmarks of training through their own entry points, and the targets that they share."""

import json
from pathlib import Path

import pytest
from record import rows_of as rows_of_file
from step_shares import part_of
from training_throughput import rows_of, windows_of
from turns import Turn, in_turns

from tests.benchmarks.run_benchmark import run_benchmark
from tests.worlds import small_world
from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.next_events import NextEvents


def test_the_loops_learn_the_targets_of_fit() -> None:
    train = leave_last_out(small_world())[0]
    examples = NextEvents(train, Inputs(max_length=5), Candidates.of(train, "catalogue"))
    windows = windows_of(train, 5)
    assert sorted(len(window) - 1 for window in windows) == sorted(examples.sizes().tolist())
    assert len(windows) > 60


def test_ratios_are_those_of_a_round_after_the_first() -> None:
    ours = [Turn(60, 9, 9, {"data": 0.25}), Turn(60, 3, 6), Turn(60, 2, 6), Turn(60, 1, 5)]
    theirs = [Turn(6, seconds, 1) for seconds in (9, 3, 1, 1)]
    rows = {row.key: row for row in rows_of("a case", {"fit": ours, "loop": theirs})}
    compared = rows["a case | fit | targets/s | loop"]
    assert (compared.value, compared.low, compared.ratio, compared.high) == pytest.approx((30, 7.5, 10, 10))
    assert rows["a case | loop | targets/s | "].value == 6
    assert rows["a case | fit | targets/s by the clock | "].value == 10
    assert rows["a case | fit: data | share of a step | "].value == 0.25


def test_an_ended_contender_is_named() -> None:
    with pytest.raises(RuntimeError, match="short ended before epoch 3"):
        in_turns({"short": lambda finished: [finished(1) for _ in range(2)]}, rounds=3)


def test_operations_belong_to_parts_of_a_step() -> None:
    backward = "torch::autograd::CppNode<SplitNoBagLookupFunction_rowwise_adagrad_Op>"
    assert part_of(backward) == part_of("aten::embedding_bag") == "lookup"
    assert part_of("gloo:all_to_all") == "communication"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "contenders", "arguments"),
    [
        ("training_throughput", ["fit", "plain loop", "plain loop, our encoder"], ["--encoders", "sasrec"]),
        ("ranks", ["1 process", "2 processes"], ["--encoders", "sasrec"]),
        ("batch_scaling", ["capped (default)", "all targets"], ["--dim", "8", "--length", "5"]),
    ],
)
def test_entry_point(script: str, contenders: list[str], arguments: list[str], tmp_path: Path) -> None:
    output = tmp_path / "found.json"
    done = run_benchmark(script, "--quick", *arguments, "--output", str(output))
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert found["benchmark"] == script
    measured = {row.contender for row in rows_of_file(found)}
    assert measured.issuperset(contenders)
    assert all(contender in done.stdout for contender in contenders)
