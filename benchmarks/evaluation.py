"""Times the evaluation of a matrix factorisation over its whole catalogue, beside implicit and a torch loop.

python benchmarks/evaluation.py --output evaluation.json --plot evaluation.png
python benchmarks/evaluation.py --quick
"""

import ctypes
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from command import Common, check_common, run_command
from interleaved import compared, measure
from record import Row, save
from tables import table_of
from torch import Tensor

import torchrec_ext as tx
from torchrec_ext.data import Dataset
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.evaluation import evaluate  # here, so that its imports count as such
from torchrec_ext.retrieval import TrainedModel
from torchrec_ext.retrieval.encode import encode_items, encode_users

OURS, LOOP, PEER = "evaluate()", "torch loop", "implicit"


@dataclass(frozen=True)
class Settings(Common):
    """What is measured: MovieLens 1M if TORCHREC_EXT_DATA holds it, else generated events of that size.

    ``evaluate()`` encodes users and items, ranks every target, counts ties and computes 14 figures. With the
    same vectors a loop makes lists and their NDCG, and implicit, where it is installed, lists and four
    figures. The NDCGs are compared before the timing starts.
    """

    dim: int = 64
    """Width of the vectors."""
    k: int = 10
    """Length of the lists."""
    chunk: int = 1024
    """Users at a time, of the torch loop too."""
    rounds: int = 9
    """Timed blocks of each contender, alternately, in processor time."""
    block_seconds: float = 0.3
    """Approximate length of a block."""
    users: int = 6040
    """Generated users."""
    items: int = 3706
    """Generated items."""
    events: int = 1_000_000
    """Generated events, before repetitions are dropped."""


@dataclass(frozen=True)
class Workload:
    """One leave-last-out split and the vectors of an untrained model; items in the order of its catalogue."""

    model: TrainedModel
    known: Dataset
    targets: Dataset
    queries_UD: Tensor
    items_ID: Tensor
    seen: tuple[np.ndarray, np.ndarray]
    """Columns of the known items of each user, flat, and (U + 1,) offsets."""
    wanted_U: np.ndarray
    """Column of each user's target."""


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    quick = {"users": 604, "events": 100_000, "rounds": 3, "block_seconds": 0.1}
    run_command(Settings, check, run, quick)


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    check_common(settings, dim=1, k=1, chunk=1, rounds=1, users=1, items=settings.k + 2, events=3)


def run(settings: Settings) -> None:
    """Compares the figures, measures memory and time, prints a table and writes the files."""
    held = {"imports": memory("VmRSS")}
    work = prepare(settings)
    held["imports, data and model"] = memory("VmRSS")
    contenders: dict[str, Callable[[int], float]] = {
        OURS: lambda _: ours(work, settings),
        LOOP: lambda _: loop(work, settings),
    }
    if find_spec("implicit"):
        contenders[PEER] = peer(work, settings)
    growth = {name: growth_of(call) for name, call in contenders.items()}
    figures = {name: call(0) for name, call in contenders.items()}
    if any(abs(figure - figures[OURS]) > 1e-4 for figure in figures.values()):
        raise RuntimeError(f"the NDCGs differ: {figures}")
    timings = measure(
        contenders,
        rounds=settings.rounds,
        warmup=1,
        block_seconds=settings.block_seconds,
        synchronise=lambda: None,
        clock="processor",
    )
    case = f"{len(work.wanted_U):,} users, {len(work.items_ID):,} items, width {settings.dim}, k {settings.k}"
    times = {name: timing.rounds for name, timing in timings.items()}
    speeds = {name: len(work.wanted_U) / timing.quartiles[1] for name, timing in timings.items()}
    peers = [name for name in contenders if name != OURS]
    rows = [compared(case, OURS, "users/s", speeds[OURS], name, times[OURS], times[name]) for name in peers]
    rows += [Row(case, name, "users/s", speeds[name]) for name in peers]
    rows += [Row(case, name, "own peak MiB", grown / 2**20) for name, grown in growth.items()]
    rows += [Row("memory of the process", name, "MiB", size / 2**20) for name, size in held.items()]
    print(table_of(rows))
    save(settings, "evaluation", rows, drawn="users/s", packages=("numpy", "scipy", "implicit"), ndcg=figures)


def prepare(settings: Settings) -> Workload:
    """The split, the model and its vectors."""
    folder = os.environ.get("TORCHREC_EXT_DATA")
    if folder and not settings.quick:
        events = tx.data.read_events(Path(folder) / "ml-1m")
    else:
        rng = np.random.default_rng(0)
        items = np.minimum(settings.items * rng.random(settings.events) ** 2, settings.items - 1).astype(int)
        frame = pd.DataFrame({"user": rng.integers(0, settings.users, settings.events), "item": items})
        frame = frame.drop_duplicates()
        events = tx.data.read_events(frame.assign(timestamp=np.arange(len(frame))))
    train, valid, test = tx.data.leave_last_out(events)
    known = train + valid
    join_group()
    torch.manual_seed(0)
    module = tx.models.TwoTower(train.schema, settings.dim)
    shard(module)
    initialise_tables(module, 0)
    model = TrainedModel(module.eval(), train.preparation)
    log, catalogue = known.events, train.preparation.trained.catalogue
    batcher = Batcher(train.preparation, log, module.inputs)
    with torch.no_grad():
        # the test has one target of each user, in the order of users
        users = test.events.users
        queries_UD = encode_users(module, batcher, users)
        items_ID = encode_items(module, batcher, catalogue)
    rows, offsets = log.items_of(users)
    wanted = test.events.items
    inside = np.isin(rows, catalogue)
    kept = np.concatenate([[0], np.cumsum(inside)])[offsets]
    seen = np.searchsorted(catalogue, rows[inside]), kept
    wanted = np.where(np.isin(wanted, catalogue), np.searchsorted(catalogue, wanted), -1)
    return Workload(model, known, test, queries_UD, items_ID, seen, wanted)


def ours(work: Workload, settings: Settings) -> float:
    """The NDCG, among all figures of evaluate()."""
    report = evaluate(work.model, work.known, work.targets, settings.k, chunk=settings.chunk)
    return report[f"ndcg@{settings.k}"]


@torch.no_grad()
def loop(work: Workload, settings: Settings) -> float:
    """The NDCG from scores, known items at -inf and the k best."""
    columns, offsets = map(torch.from_numpy, work.seen)
    wanted_U, gain = torch.from_numpy(work.wanted_U), 0.0
    for start in range(0, len(wanted_U), settings.chunk):
        stop = min(start + settings.chunk, len(wanted_U))
        scores = work.queries_UD[start:stop] @ work.items_ID.T
        rows = torch.arange(stop - start).repeat_interleave(offsets[start : stop + 1].diff())
        scores[rows, columns[offsets[start] : offsets[stop]]] = -torch.inf
        hits = torch.topk(scores, settings.k).indices == wanted_U[start:stop, None]
        gain += float((hits / torch.arange(2, settings.k + 2).log2()).sum())
    return gain / len(wanted_U)


def peer(work: Workload, settings: Settings) -> Callable[[int], float]:
    """ranking_metrics_at_k of implicit with the same vectors: precision, MAP, NDCG and AUC."""
    from implicit.cpu.als import AlternatingLeastSquares  # type: ignore[import-not-found]
    from implicit.evaluation import ranking_metrics_at_k  # type: ignore[import-not-found]
    from scipy.sparse import csr_matrix

    columns, offsets = work.seen
    shape = (len(work.wanted_U), len(work.items_ID))
    known = csr_matrix((np.ones(len(columns), np.float32), columns, offsets), shape)
    inside = work.wanted_U >= 0
    bounds = np.concatenate([[0], np.cumsum(inside)])
    targets = csr_matrix((np.ones(inside.sum(), np.float32), work.wanted_U[inside], bounds), shape)
    model = AlternatingLeastSquares(factors=settings.dim, num_threads=1)
    model.user_factors, model.item_factors = work.queries_UD.numpy(), work.items_ID.numpy()

    def figures(_: int) -> float:
        found = ranking_metrics_at_k(model, known, targets, settings.k, show_progress=False, num_threads=1)
        return float(found["ndcg"] * inside.mean())  # of all users, as the others count

    return figures


def growth_of(call: Callable[[int], float]) -> int:
    """Bytes by which main memory in use rises at most during the first call."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again
    before = memory("VmRSS")
    call(0)
    return max(0, memory("VmHWM") - before)


def memory(kind: str) -> int:
    """Bytes of this process in use, VmRSS, or at most so far, VmHWM."""
    return int(Path("/proc/self/status").read_text().partition(f"{kind}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
