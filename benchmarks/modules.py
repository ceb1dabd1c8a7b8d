"""Times the training of each module and measures its costs, compared with a plain implementation.

python benchmarks/modules.py --output modules.json --plot modules.png
python benchmarks/modules.py --group encoders --only gru nextitnet
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise the profiler logs its starts and stops

import torch
from command import Common, check_common, run_command
from interleaved import compared, quartiles
from module_measurement import Measured, measure
from module_workloads import workload
from peers import peer_of
from record import Row, save
from tables import table_of
from tqdm import tqdm

from torchrec_ext import plugins
from torchrec_ext.distributed import join_group
from torchrec_ext.errors import InputError

Group = Literal["interactions", "encoders", "target_attention", "scorers", "heads", "losses"]


@dataclass(frozen=True)
class Settings(Common):
    """Times the training of every module, compared with a plain implementation of the same paper.

    Modules of installed packages are measured too, without a peer. See benchmarks/README.md for the
    meaning of each number.
    """

    group: tuple[Group, ...] = get_args(Group)
    """Groups of modules."""
    only: tuple[str, ...] = ()
    """Names of modules; by default all of the groups."""
    interactions: tuple[int, int, int] = (2048, 8, 32)
    """Batch, fields and width."""
    encoders: tuple[int, int, int] = (32, 200, 128)
    """Batch, longest history in events, and width."""
    target_attention: tuple[int, int, int] = (2048, 50, 32)
    """Batch, longest history in events, and width."""
    scorers: tuple[int, int, int] = (256, 4096, 64)
    """Queries, shared candidates, and width."""
    heads: tuple[int, int, int] = (4096, 128, 3)
    """Batch, width and tasks."""
    losses: tuple[int, int, int] = (1024, 4096, 3)
    """Batch, candidates of a retrieval loss, and tasks of a ranking loss."""
    rounds: int = 5
    """Timed blocks per module and pass."""
    block_seconds: float = 0.05
    """Approximate length of a block, at least one step."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device that the modules run on."""
    threads: int = 1
    """Threads that torch may use."""
    seed: int = 0
    """Seed of inputs, weights and dropout."""


QUICK: dict[str, Any] = {
    "only": ("concat", "dot", "gru", "sasrec", "din", "single", "softmax_cross_entropy"), "rounds": 3,
}  # fmt: skip


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, QUICK)


def check(settings: Settings) -> None:
    """Checks the settings before anything is measured.

    Raises:
        InputError: with the setting, its value and what is expected.
    """
    check_common(settings, **dict.fromkeys((*get_args(Group), "rounds", "threads"), 1))
    if not settings.group:
        raise InputError(f"--group is empty: give one or more of {', '.join(plugins.GROUPS)}")
    known = [name for group in settings.group for name in plugins.names(group)]
    for name in settings.only:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {close[0]}?" if close else "."
            raise InputError(f"--only names {name}{hint} There are {', '.join(known)}")


def chosen(settings: Settings) -> list[tuple[Group, str]]:
    """Group and name of each module to measure, in the order of the groups."""
    return [
        (group, name)
        for group in dict.fromkeys(settings.group)
        for name in plugins.names(group)
        if not settings.only or name in settings.only
    ]


def run(settings: Settings) -> None:
    """Measures all modules, prints the table and writes the files."""
    join_group(settings.device)  # interleaved.measure needs one
    found: list[Row] = []
    left_out = {}
    for group, name in (bar := tqdm(chosen(settings), unit="module", disable=None, leave=False)):
        bar.set_description(name)
        try:
            found += measure_module(group, name, settings)
        except InputError as refusal:  # a third-party module that needs more arguments than sizes
            left_out[f"{group} {name}"] = str(refusal)
    print(table_of(found))
    for name, reason in left_out.items():
        print(f"not measured: {name}: {reason}")
    save(settings, "modules", found, drawn="examples/s", device=settings.device, not_measured=left_out)


def measure_module(group: Group, name: str, settings: Settings) -> list[Row]:
    """Builds a module with its default arguments, and its peer, and times both alternately."""
    device = torch.device(settings.device)
    given = workload(group, getattr(settings, group), device, settings.seed)
    torch.manual_seed(settings.seed)
    ours = plugins.build(group, name, **given.arguments)
    made_of, peer = peer_of(group, name, ours) or (None, None)
    built = {"ours": ours} if peer is None else {"ours": ours, made_of or "peer": peer}
    inputs = given.inputs_of(ours)
    measured = measure(
        {who: (module.to(device), inputs) for who, module in built.items()},
        rounds=settings.rounds,
        block_seconds=settings.block_seconds,
        device=device,
    )
    return rows_of(f"{group}: {given.size}", name, given.examples, measured)


def rows_of(case: str, name: str, examples: int, measured: Mapping[str, Measured]) -> list[Row]:
    """The examples/s of a training step beside those of the other contender, and the costs of the step.

    Args:
        case: the module's group and sizes.
        name: of the module.
        examples: of a step.
        measured: ``ours``, and the other contender if there is one.
    """
    ours = measured["ours"]
    speed = examples / ours.step.quartiles[1]
    found = [
        compared(case, name, "examples/s", speed, who, ours.step.rounds, other.step.rounds)
        for who, other in measured.items() if who != "ours"
    ] or [Row(case, name, "examples/s", speed)]  # fmt: skip
    figures = {
        "forward ms": 1e3 * ours.forward.quartiles[1],
        "backward ms": 1e3 * quartiles(ours.backward_rounds)[1],
        "peak MB": ours.costs.peak_bytes / 1e6,
        "parameters": ours.costs.parameters,
        "GFLOP": ours.costs.flops / 1e9,
        "of FLOP rate": quartiles(ours.shares)[1],
    }
    return found + [Row(case, name, metric, value) for metric, value in figures.items()]


if __name__ == "__main__":
    main()
