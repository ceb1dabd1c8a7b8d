"""Times the training of each module and measures its costs, compared with a plain implementation.

python benchmarks/modules.py --output modules.json --plot modules.png
python benchmarks/modules.py --group encoders --only gru nextitnet --recbole
"""

import os
import time

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise the profiler logs its starts and stops

import module_report as report
import record
import torch
from command import run_command
from module_measurement import measure
from module_settings import QUICK, Group, Settings, check, chosen
from module_workloads import workload
from peers import peer_of
from recbole_layers import RIVALS, Rival, build_both
from tqdm import tqdm

from torchrec_ext import plugins
from torchrec_ext.distributed import join_group
from torchrec_ext.errors import InputError


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, QUICK)


def run(settings: Settings) -> None:
    """Measures all modules, prints the table and writes the output files."""
    began = time.perf_counter()
    join_group(settings.device)  # interleaved.measure needs one
    found, with_recbole, left_out = [], [], {}
    modules = chosen(settings)
    rivals = [r for r in RIVALS if settings.recbole and ("encoders", r.encoder) in modules]
    with tqdm(total=len(modules) + len(rivals), unit="module", disable=None, leave=False) as bar:
        for group, name in modules:
            bar.set_description(name)
            try:
                found.append(measure_module(group, name, settings))
            except InputError as refusal:  # a third-party module that needs more arguments than sizes
                left_out[f"{group} {name}"] = str(refusal)
            bar.update()
        for rival in rivals:
            bar.set_description(f"RecBole's {rival.model}")
            with_recbole.append(measure_with_recbole(rival, settings))
            bar.update()
    print(report.table(found))
    if with_recbole:
        print("\n" + report.table(with_recbole, "recbole"))
    for name, reason in left_out.items():
        print(f"not measured: {name}: {reason}")
    print(f"\n{time.perf_counter() - began:.0f} s in total, threads: {settings.threads}")
    if settings.output is not None:
        rows = [*report.rows(found, "peer"), *report.rows(with_recbole, "recbole")]
        record.write(
            settings.output, "modules", rows, device=settings.device, packages=["recbole"],
            settings=settings, results=found, compared_with_recbole=with_recbole, not_measured=left_out,
        )  # fmt: skip
    if settings.plot is not None:
        report.plot(found, settings.plot)


def measure_module(group: Group, name: str, settings: Settings) -> report.Record:
    """Builds a module with its default arguments, and its peer, and times both alternately."""
    device = torch.device(settings.device)
    given = workload(group, getattr(settings, group), device, settings.seed)
    torch.manual_seed(settings.seed)
    ours = plugins.build(group, name, **given.arguments)
    made_of, peer = peer_of(group, name, ours) or (None, None)
    built = {"ours": ours} if peer is None else {"ours": ours, "peer": peer}
    inputs = given.inputs_of(ours)
    measured = measure(
        {who: (module.to(device), inputs) for who, module in built.items()},
        rounds=settings.rounds,
        block_seconds=settings.block_seconds,
        device=device,
    )
    cls = f"{type(ours).__module__}:{type(ours).__qualname__}"
    more = {
        "class": cls,
        "arguments": (plugins.specification(ours) or {}).get("arguments"),
        "made_of": made_of,
    }
    return report.record(group, name, given.size, given.examples, measured, **more)


def measure_with_recbole(rival: Rival, settings: Settings) -> report.Record:
    """Times an encoder and RecBole's layers alternately; ours reads the batch cut to its longest history."""
    device = torch.device(settings.device)
    batch, longest, dim = settings.recbole_size
    if rival.longest is not None:  # the same number of events in total
        batch, longest = max(1, batch * longest // rival.longest), rival.longest
    given = workload("encoders", (batch, longest, dim), device, settings.seed)
    torch.manual_seed(settings.seed)
    measured = measure(
        build_both(rival, longest, given.inputs),
        rounds=settings.rounds,
        block_seconds=settings.block_seconds,
        device=device,
    )
    made_of = f"{rival.model}, {rival.note}" if rival.note else rival.model
    return report.record("encoders", rival.encoder, given.size, given.examples, measured, made_of=made_of)


if __name__ == "__main__":
    main()
