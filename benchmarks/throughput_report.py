"""The figures of embedding_throughput.py: rows of a record, and a sentence that recommends what to use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from contenders import KERNELS, SHARDINGS, UNSHARDED
from interleaved import Timing, compared, quartiles
from record import Row

RATE = "M lookups/s"
LIMIT = "limit"


@dataclass(frozen=True)
class Load:
    """What a step of all ranks does.

    Args:
        lookups: rows that are looked up.
        distinct: different ones among those of a rank, summed over the ranks.
        moved: pass -> bytes that must be read and written.
    """

    lookups: int
    distinct: float
    moved: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """One contender's pass.

    Args:
        timing: blocks of steps.
        seconds: of single steps, the slowest rank of each.
        sent: bytes that a rank sends in a step.
        imbalance: rows that the busiest rank reads, as a multiple of the mean over the ranks.
    """

    timing: Timing
    seconds: Sequence[float]
    sent: float
    imbalance: float


def rows_of_pass(
    case: str, stage: str, measured: Mapping[str, Measured], limits: Mapping[str, Timing], load: Load
) -> list[Row]:
    """Every figure of a pass; ``limit`` is the faster of both limits in each round.

    The limit of an update is the time in which the faster one would move the bytes of the update.
    """
    scale = load.moved[stage] / load.moved["forward"]
    fastest = [min(both) * scale for both in zip(*(t.rounds for t in limits.values()), strict=True)]
    million = load.lookups / 1e6
    rows = [
        Row(case, "ids", "accesses", load.lookups),
        Row(case, "ids", "distinct rows", load.distinct),
        Row(case, LIMIT, RATE, million / quartiles(fastest)[1]),
    ]
    if stage == "forward":
        rows += [Row(case, name, RATE, million / limit.quartiles[1]) for name, limit in limits.items()]
    for name, one in measured.items():
        median = one.timing.quartiles[1]
        rows.append(compared(case, name, RATE, million / median, LIMIT, one.timing.rounds, fastest))
        rows.append(Row(case, name, "GB/s", load.moved[stage] / median / 1e9))
        shares = torch.tensor([0.5, 0.9, 0.99], dtype=torch.float64)
        steps = torch.quantile(torch.tensor(one.seconds, dtype=torch.float64), shares).tolist()
        for share, seconds in zip(("p50", "p90", "p99"), steps, strict=True):
            rows.append(Row(case, name, f"{share} ms", seconds * 1e3))
        rows.append(Row(case, name, "KB sent", one.sent / 1e3))
        rows.append(Row(case, name, "imbalance", one.imbalance))
    return rows


def recommend(shape: str, ranks: int, passes: Mapping[str, Sequence[Row]]) -> str:
    """One sentence: the kernel and the sharding that were fastest.

    Args:
        shape: sizes of the tables and batches.
        ranks: with several, whole copies on each of them cannot be trained.
        passes: pass -> its rows.

    Example:
        >>> rows = [
        ...     Row("a", "table_wise", RATE, 9.0, LIMIT, 0.9),
        ...     Row("a", "embedding_bag", RATE, 3.0, LIMIT, 0.3),
        ... ]
        >>> recommend("2 tables", 1, {"update": rows})
        'For 2 tables: train with table_wise sharding on the fused table-batched kernel (0.90 of the limit).'
    """
    verbs = {"update": "train", "forward": "look up"}
    parts = []
    for stage in ("update", "forward"):
        shares = {
            row.contender: row.ratio for row in passes.get(stage, ()) if row.metric == RATE and row.ratio
        }
        if stage == "update" and ranks > 1:
            shares = {name: share for name, share in shares.items() if name not in UNSHARDED}
        exact = {name: share for name, share in shares.items() if " " not in name}
        if not shares:
            continue
        best = max(exact or shares, key=lambda name: shares[name])
        text = f"{verbs[stage]} with {_described(best)} ({shares[best]:.2f} of the limit"
        rounded = max(shares, key=lambda name: shares[name])
        if shares[rounded] > 1.05 * shares[best]:
            text += f"; {_described(rounded)} is {shares[rounded] / shares[best]:.2f} times as fast"
        parts.append(text + ")")
    return f"For {shape}: {', and '.join(parts)}."


def _described(contender: str) -> str:
    name, _, precision = contender.partition(" ")
    sharding = f"{name} sharding on " if name in SHARDINGS else ""
    return f"{sharding}{KERNELS[name]}{' in ' * bool(precision)}{precision}"
