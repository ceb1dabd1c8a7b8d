"""Times the training of each module and measures its costs, compared with a plain implementation.

python benchmarks/modules.py --output modules.json --plot modules.png
python benchmarks/modules.py --group encoders --only gru nextitnet
"""

import os
from collections.abc import Mapping

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise the profiler logs its starts and stops

import torch
from command import run_command
from interleaved import compared, quartiles
from module_measurement import Measured, measure
from module_settings import QUICK, Group, Settings, check, chosen
from module_workloads import workload
from peers import peer_of
from record import Row, save
from tables import table_of
from tqdm import tqdm

from torchrec_ext import plugins
from torchrec_ext.distributed import join_group
from torchrec_ext.errors import InputError


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, QUICK)


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
