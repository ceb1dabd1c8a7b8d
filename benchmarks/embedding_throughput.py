"""Times lookups and training of embedding tables as shares of the limit, and recommends a way.

python benchmarks/embedding_throughput.py --optimizer rowwise_adagrad adagrad sgd
torchrun --nproc-per-node 2 benchmarks/embedding_throughput.py --output throughput.json --plot throughput.png
"""

import gc
import time
from collections.abc import Callable

import contenders
import id_batches
import interleaved
import limit
import machine
import torch
import torch.distributed as dist
from command import run_command
from record import Row, save
from sent_bytes import sent_bytes
from tables import table_of
from throughput_report import RATE, Load, Measured, recommend, rows_of_pass
from throughput_settings import QUICK, Case, Settings, Stage, cases, check, check_memory
from torch import Tensor

from torchrec_ext.distributed import Group, join_group
from torchrec_ext.distributed.huge_pages import use_huge_pages
from torchrec_ext.distributed.quiet import quiet_libraries

Step = Callable[[int], object]


def main() -> None:
    """Reads the command line, measures, and reports from rank 0."""
    run_command(Settings, check, run, QUICK)


def run(settings: Settings) -> None:
    """Measures all cases; rank 0 prints each result at once and writes the output files at the end."""
    group = join_group(settings.device)
    check_memory(settings)
    rows: list[Row] = []
    with quiet_libraries():
        for case in cases(settings):
            found, sentence = measure_case(case, settings, group)
            rows += found
            if group.first:
                accesses, distinct = (row.value for row in found[:2])
                hidden = ["accesses", "distinct rows"]
                if group.world_size == 1:
                    hidden += ["KB sent", "imbalance"]
                shown = [row for row in found if row.metric not in hidden]
                print(f"{table_of(shown)}\n{accesses:,.0f} accesses a step, {distinct:,.0f} distinct rows")
                print(f"{sentence}\n", flush=True)
    if group.first:
        print(machine.summary())
        save(
            settings, "embedding_throughput", rows, drawn=RATE,
            device=settings.device, world_size=group.world_size,
        )  # fmt: skip


def measure_case(case: Case, settings: Settings, group: Group) -> tuple[list[Row], str]:
    """The figures of every pass of a case, and what they recommend."""
    batches = id_batches.make_batches(
        case.batches, tables=case.tables, rows=case.rows, batch=case.batch, pooling=case.pooling,
        zipf=case.zipf, seed=settings.seed, rank=group.rank, device=group.device,
    )  # fmt: skip
    # drawn on the CPU, so that a seed gives the same weights on every device
    generator = torch.Generator().manual_seed(settings.seed)
    weights_TRW = torch.randn(case.tables, case.rows, case.width, generator=generator).to(group.device)
    gradient = torch.randn(case.batch, case.tables * case.width, generator=generator).to(group.device)
    if settings.huge_limit:
        use_huge_pages(weights_TRW)
    passes: dict[str, list[Row]] = {}
    rows: list[Row] = []
    ranks = f", {group.world_size} ranks" * (group.world_size > 1)
    for stage in settings.stages():
        name, optimizer = stage
        steps = build_steps(stage, settings, weights_TRW, batches, gradient)
        limits: dict[str, Step] = {
            name: lambda number, look_up=look_up: look_up(batches[number % len(batches)])  # type: ignore[misc]
            for name, look_up in limit.lookups(weights_TRW, case.pooling, case.batch).items()
        }
        measured, limit_timings = measure(steps, limits, settings, group, batches[0], case.rows)
        title = f"{name}{f' with {optimizer}' * (name == 'update')}, {case}{ranks}"
        load = load_of(case, batches, optimizer)
        found = rows_of_pass(title, name, measured, limit_timings, load)
        passes.setdefault(name, found)
        rows += found
        del steps
        gc.collect()
    return rows, recommend(f"{case}{ranks}", group.world_size, passes)


def build_steps(
    stage: Stage,
    settings: Settings,
    weights_TRW: Tensor,
    batches: list[id_batches.IdBatch],
    gradient: Tensor,
) -> dict[str, Step]:
    """A step of the pass by each contender; their first lookups must agree as far as their rows are exact."""
    learns = stage[0] == "update"
    expected: Tensor | None = None
    steps: dict[str, Step] = {}
    for name, precision in settings.entrants(stage[0]):
        contender = contenders.build(
            name, weights_TRW, precision=precision, optimizer=stage[1], learns=learns
        )
        with torch.no_grad():
            found = contender.look_up(batches[0])
        expected = found if expected is None else expected
        tolerance = contenders.ROUNDING[precision] * batches[0].ids_TBP.shape[2]
        if not torch.allclose(found.float(), expected, rtol=1e-4, atol=tolerance):
            raise AssertionError(f"{name} in {precision} looked up other vectors than the first contender")

        def forward(number: int, contender: contenders.Contender = contender) -> None:
            with torch.no_grad():
                contender.look_up(batches[number % len(batches)])

        def update(number: int, contender: contenders.Contender = contender) -> None:
            contender.learn(batches[number % len(batches)], gradient)

        steps[name if precision == "fp32" else f"{name} {precision}"] = update if learns else forward
    return steps


def measure(
    steps: dict[str, Step],
    limits: dict[str, Step],
    settings: Settings,
    group: Group,
    batch: id_batches.IdBatch,
    rows: int,
) -> tuple[dict[str, Measured], dict[str, interleaved.Timing]]:
    """Times the steps and the limits in interleaved rounds, and counts what the steps send."""
    on_cpu = group.device.type == "cpu"
    clock: interleaved.Clock = settings.clock if on_cpu else "wall"
    now = time.process_time if clock == "processor" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in steps}

    def timed(name: str) -> Step:
        def step(number: int) -> None:
            began = now()
            steps[name](number)
            seconds[name].append(now() - began)

        return step

    timings = interleaved.measure(
        limits | {name: timed(name) for name in steps},
        rounds=settings.rounds,
        warmup=settings.warmup,
        block_seconds=settings.block_seconds,
        synchronise=(lambda: None) if on_cpu else torch.cuda.synchronize,
        clock=clock,
    )
    # after a first step, in which some send more
    sent = {name: sent_bytes(lambda step=step: step(0)) for name, step in steps.items()}  # type: ignore[misc]
    measured = {}
    for name in steps:
        timing = timings[name]
        # a GPU works on after a step returns: there the means of blocks stand for its steps
        last = seconds[name][-timing.steps * settings.rounds :] if on_cpu else timing.rounds
        slowest = torch.tensor(last, dtype=torch.float64)
        dist.all_reduce(slowest, dist.ReduceOp.MAX)
        by_rank = contenders.rows_by_rank(
            name.partition(" ")[0], batch.ids_TBP, rows, group.rank, group.world_size
        )
        dist.all_reduce(by_rank)
        imbalance = float(by_rank.max() / by_rank.double().mean())
        measured[name] = Measured(timing, slowest.tolist(), sent[name], imbalance)
    return measured, {name: timings[name] for name in limits}


def load_of(case: Case, batches: list[id_batches.IdBatch], optimizer: str) -> Load:
    """Lookups and distinct rows of a step of all ranks, and the bytes that each pass must move, in float32.

    A lookup reads a row, a bag writes one; an update also reads a gradient row for each bag, and reads
    and writes each distinct row of the batch with its optimizer state. Ids are not counted.
    """
    row_bytes = case.width * 4
    state_bytes = {"rowwise_adagrad": 4, "adagrad": row_bytes, "sgd": 0}[optimizer]
    bags = case.tables * case.batch
    distinct = sum(batch.distinct_rows() for batch in batches) / len(batches)
    forward = (case.lookups + bags) * row_bytes
    update = forward + bags * row_bytes + distinct * 2 * (row_bytes + state_bytes)
    totals = torch.tensor([case.lookups, distinct, forward, update], dtype=torch.float64)
    dist.all_reduce(totals)
    lookups, distinct, forward, update = totals.tolist()
    return Load(int(lookups), distinct, {"forward": forward, "update": update})


if __name__ == "__main__":
    main()
