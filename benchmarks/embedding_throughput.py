"""Times lookups and training of embedding tables, compared with nn.EmbeddingBag and a plain gather.

python benchmarks/embedding_throughput.py
torchrun --nproc-per-node 2 benchmarks/embedding_throughput.py --output throughput.json
"""

import gc
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict

import contenders
import id_batches
import interleaved
import limit
import machine
import throughput_report as report
import torch
import torch.distributed as dist
import tyro
from throughput_settings import Case, Settings, cases, check, check_memory

from torchrec_ext.distributed import Group, join_group
from torchrec_ext.errors import InputError


def main() -> None:
    """Reads the command line, measures, and reports from rank 0."""
    silence()
    first = int(os.environ.get("RANK", 0)) == 0
    try:
        settings = tyro.cli(Settings, console_outputs=first)
        check(settings)
        group = join_group(settings.device)
        check_memory(settings)
        run(settings, group)
    except (InputError, SystemExit) as refusal:
        if isinstance(refusal, InputError) and first:
            print(f"error: {refusal}", file=sys.stderr)
        # torchrun stops all ranks when one exits: none may exit before rank 0 has printed the error.
        join_group()
        dist.all_reduce(torch.zeros(1))
        raise SystemExit(2 if isinstance(refusal, InputError) else refusal.code) from None
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def silence() -> None:
    """Silences internal warnings of the libraries, which every rank would print."""
    warnings.simplefilter("ignore", FutureWarning)
    warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly disabled")
    # A warning about data_parallel, whose gradients are correct: see the tests.
    warnings.filterwarnings("ignore", message=".*an autograd kernel was not registered")
    for name in ("torch.fx._symbolic_trace", "torchrec.distributed.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)


def run(settings: Settings, group: Group) -> None:
    """Measures all cases; rank 0 prints each result at once and writes the output files at the end."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    started = time.perf_counter()
    results = []
    for case in cases(settings):
        found = measure_case(case, settings, group.device)
        results += found
        if group.first:
            print(report.table(found) + "\n", flush=True)
        gc.collect()
    if not group.first:
        return
    print(f"{time.perf_counter() - started:.0f} s in total; GB/s counts the bytes that a step must move")
    if group.world_size > 1:
        print("embedding_bag, unsharded_ebc: each rank has a whole copy and learns from its own batch alone")
    if settings.output is not None:
        content = {
            "benchmark": "embedding_throughput",
            "machine": machine.describe(group.device),
            "versions": machine.versions(),
            "settings": asdict(settings),
            "world_size": group.world_size,
            "results": results,
        }
        settings.output.write_text(json.dumps(content, indent=1, default=str) + "\n")
    if settings.plot is not None:
        report.plot(results, settings.plot)


def measure_case(case: Case, settings: Settings, device: torch.device) -> list[report.Record]:
    """Builds all contenders of a case, checks that they agree, and times them."""
    batches = id_batches.make_batches(
        case.batches,
        tables=case.tables,
        rows=case.rows,
        batch=case.batch,
        pooling=case.pooling,
        zipf=case.zipf,
        seed=settings.seed,
        rank=dist.get_rank(),
        device=device,
    )
    # Drawn on the CPU, so that a seed gives the same weights on every device.
    generator = torch.Generator().manual_seed(settings.seed)
    weights_TRW = torch.randn(case.tables, case.rows, case.width, generator=generator).to(device)
    gradient = torch.randn(case.batch, case.tables * case.width, generator=generator).to(device)
    learns = "update" in settings.passes
    built = {
        name: contenders.build(name, weights_TRW, optimizer=settings.optimizer, learns=learns)
        for name in settings.contenders
    }
    with torch.no_grad():
        outputs = {name: contender.look_up(batches[0]) for name, contender in built.items()}
    first = outputs[settings.contenders[0]]
    for name, output in outputs.items():
        if not torch.allclose(output, first, rtol=1e-4, atol=1e-5 * case.pooling):
            raise AssertionError(f"{name} and {settings.contenders[0]} looked up different vectors")
    del outputs, first
    gather = contenders.gather(weights_TRW, case.lookups)
    limits = limit.lookups(weights_TRW, case.pooling, case.batch) if device.type == "cpu" else {}
    lookups, step_bytes = totals(case, batches, settings.optimizer)

    def step(contender: contenders.Contender, learn: bool) -> Callable[[int], None]:
        def forward(number: int) -> None:
            with torch.no_grad():
                contender.look_up(batches[number % len(batches)])

        def update(number: int) -> None:
            contender.learn(batches[number % len(batches)], gradient)

        return update if learn else forward

    synchronise = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    results = []
    for stage in settings.passes:
        actions = {report.GATHER: step(gather, False)}
        actions |= {name: step(contenders.Contender(look_up), False) for name, look_up in limits.items()}
        actions |= {name: step(contender, stage == "update") for name, contender in built.items()}
        timings = interleaved.measure(
            actions,
            rounds=settings.rounds,
            warmup=settings.warmup,
            block_seconds=settings.block_seconds,
            synchronise=synchronise,
            clock=settings.clock,
        )
        results += report.records(case, stage, timings, step_bytes, lookups)
    return results


def totals(case: Case, batches: list[id_batches.IdBatch], optimizer: str) -> tuple[int, dict[str, int]]:
    """Lookups of a step of all ranks, and the bytes that each pass of it must move.

    A lookup reads a row, a bag writes one; an update also reads a gradient row for each bag, and reads
    and writes each distinct row of the batch with its optimizer state. Ids are not counted.
    """
    row_bytes = case.width * 4
    state_bytes = {"rowwise_adagrad": 4, "adagrad": row_bytes, "sgd": 0}[optimizer]
    lookups = case.lookups
    bags = case.tables * case.batch
    distinct = sum(batch.distinct_rows() for batch in batches) / len(batches)
    forward = (lookups + bags) * row_bytes
    update = forward + bags * row_bytes + distinct * 2 * (row_bytes + state_bytes)
    totals_of_ranks = torch.tensor([lookups, 2 * lookups * row_bytes, forward, update], dtype=torch.float64)
    dist.all_reduce(totals_of_ranks)
    counts = [int(number) for number in totals_of_ranks.tolist()]
    return counts[0], {report.GATHER: counts[1], "forward": counts[2], "update": counts[3]}


if __name__ == "__main__":
    main()
