"""The benchmark of modules through its own entry point, its peers, and what it counts."""

import doctest
import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import module_costs
import module_workloads
import modules
import pytest
import torch
from interleaved import Timing
from module_measurement import Measured
from modules import Settings, check, chosen
from peers import PEERS, peer_of
from record import rows_of

from tests.benchmarks.run_benchmark import run_benchmark
from torchrec_ext import plugins
from torchrec_ext.contracts import GROUPS
from torchrec_ext.errors import InputError

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
TINY = {
    "interactions": (4, 3, 8),
    "encoders": (3, 9, 8),
    "target_attention": (4, 5, 8),
    "scorers": (3, 5, 8),
    "heads": (4, 8, 2),
    "losses": (4, 5, 2),
}
ALL_PEERS = [(group, name) for group, peers in PEERS.items() for name in peers]
# Nothing is learnt, so ours and the peer must agree.
WITHOUT_WEIGHTS = [
    ("interactions", "dot"),
    ("interactions", "factorization_machine"),
    ("interactions", "parallel"),
    ("encoders", "mean_pool"),
    ("scorers", "cosine"),
    ("scorers", "dot"),
    ("losses", "binary_cross_entropy"),
    ("losses", "softmax_cross_entropy"),
]


def test_entry_point(tmp_path: Path) -> None:
    output, plot = tmp_path / "modules.json", tmp_path / "modules.png"
    sizes = [
        word
        for group, numbers in TINY.items()
        for word in (f"--{group.replace('_', '-')}", *map(str, numbers))
    ]
    files = ["--output", str(output), "--plot", str(plot)]
    only = ["--only", "concat", "dot", "gru", "din", "single", "softmax_cross_entropy"]
    done = run_benchmark("modules", *only, *sizes, "--rounds", "1", "--block-seconds", "1e-6", *files)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split()[:3] == ["examples/s", "forward", "ms"]
    words = [line.split()[0] for line in lines if line.startswith("  ")]
    assert words == ["concat", "dot", "gru", "din", "dot", "single", "softmax_cross_entropy"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    found = json.loads(output.read_text())
    assert found["benchmark"] == "modules"
    assert found["machine"]["threads_per_process"] == 1
    assert found["not_measured"] == {}
    rows = rows_of(found)
    figures = {(row.case.partition(":")[0], row.contender, row.metric): row.value for row in rows}
    assert figures["interactions", "concat", "parameters"] == 0
    assert figures["interactions", "concat", "GFLOP"] == 0
    compared = [row for row in rows if row.ratio is not None]
    assert [row.case.partition(":")[0] for row in compared] == list(TINY)  # concat has no peer
    assert all(row.metric == "examples/s" and row.reference for row in compared)
    assert all(row.value > 0 for row in rows if row.metric == "peak MB" and row.contender != "concat")
    # (4, 8) by (8, 2): a product forwards, two backwards, and the gradient of the bias is a sum.
    assert figures["heads", "single", "GFLOP"] == pytest.approx(3 * 2 * 4 * 8 * 2 / 1e9)
    assert figures["heads", "single", "parameters"] == 8 * 2 + 2


@pytest.mark.parametrize("group", GROUPS)
def test_every_module_is_measured(group: str) -> None:
    files = {path.stem for path in (ROOT / "torchrec_ext" / group).glob("[!_]*.py")}
    measured = [name for of, name in chosen(Settings()) if of == group]
    assert files <= set(measured) == set(plugins.names(group))
    assert set(PEERS[group]) <= files


@pytest.mark.parametrize(("group", "name"), ALL_PEERS)
def test_peer_is_as_large_and_gives_the_same_shapes(group: str, name: str) -> None:
    given = module_workloads.workload(group, TINY[group], CPU)
    ours = plugins.build(group, name, **given.arguments)
    found = peer_of(group, name, ours)
    assert found is not None
    inputs = given.inputs_of(ours)
    outputs = [module_workloads.forward(module, inputs) for module in (ours, found[1])]
    assert [output.shape for output in outputs[0]] == [output.shape for output in outputs[1]]
    assert all(output.isfinite().all() for output in outputs[1])
    sizes = [
        sum(p.numel() * (1 + p.is_complex()) for p in module.parameters()) for module in (ours, found[1])
    ]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)
    if (group, name) in WITHOUT_WEIGHTS:
        torch.testing.assert_close(outputs[0], outputs[1])


def test_a_module_from_outside_has_no_peer() -> None:
    assert peer_of("heads", "single", torch.nn.Linear(8, 2)) is None


def test_rows_compare_within_a_round() -> None:
    def measured(forward: list[float], step: list[float], flops: int) -> Measured:
        costs = module_costs.Costs(parameters=7, flops=flops, peak_bytes=9)
        return Measured(Timing(1, forward, [0.0]), Timing(1, step, [0.0]), [10.0, 5.0, 10.0], costs)

    both = {
        "ours": measured([1.0, 2.0, 1.0], [2.0, 4.0, 6.0], 5),
        "peer": measured([2.0, 4.0, 1.0], [4.0, 4.0, 3.0], 1),
    }
    ratio, *others = modules.rows_of("heads: small", "single", 8, both)
    assert (ratio.name, ratio.value, ratio.ratio) == ("single / peer", 2, 1)  # 2/1, 1, 1/2
    figures = {row.metric: row.value for row in others}
    assert figures["forward ms"] == 1000
    assert figures["backward ms"] == 2000  # 1, 2, 5
    assert figures["of FLOP rate"] == 0.25  # 5/2/10, 5/4/5, 5/6/10


def test_flops_see_into_fused_kernels() -> None:
    query = torch.rand(1, 2, 3, 4, requires_grad=True)
    attention = torch.nn.functional.scaled_dot_product_attention
    # Two products forwards and four backwards of 3 x 3 x 4 a head.
    assert (
        module_costs.flops(lambda: attention(query, query, query).sum().backward()) == 6 * 2 * 2 * 3 * 3 * 4
    )
    lstm = torch.nn.LSTM(4, 5)
    assert module_costs.flops(lambda: lstm(torch.rand(3, 2, 4))[0]) == 2 * 3 * 2 * (4 + 5) * 4 * 5


def test_histories_are_mixed_and_cut() -> None:
    lengths = module_workloads.history_lengths(20_000, 200, torch.Generator().manual_seed(0)).float()
    assert (lengths.min(), lengths.max()) == (1, 200)
    assert lengths.median() == pytest.approx(96, rel=0.05)
    given = module_workloads.workload("encoders", (2, 1000, 4), CPU, seed=2)
    events, lengths, times = given.inputs
    assert events.shape[1] == times.shape[1] == lengths.max() < 1000
    assert (times.diff(dim=1) >= 0).all()


WRONG = [
    ({"heads": (0, 1, 1)}, "--heads is 0 1 1"),
    ({"rounds": 0}, "--rounds is 0"),
    ({"threads": 0}, "--threads is 0"),
    ({"block_seconds": 0.0}, "--block-seconds is 0.0"),
    ({"group": ()}, "--group is empty"),
    ({"only": ("grru",)}, "--only names grru, did you mean gru?"),
    ({"group": ("heads",), "only": ("gru",)}, "--only names gru"),
    ({"output": Path("/no/such/folder/file.json")}, "--output /no/such/folder/file.json"),
    ({"device": "cuda"}, "--device cuda"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_check_names_the_setting(
    change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError) as refusal:
        check(replace(Settings(), **change))
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("name", "examples"), [("module_costs", 4), ("module_workloads", 3)])
def test_examples(name: str, examples: int) -> None:
    assert doctest.testmod(importlib.import_module(name)) == (0, examples)
