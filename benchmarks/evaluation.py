"""Times the evaluation of a matrix factorisation over its whole catalogue, beside implicit and a torch loop.

OMP_NUM_THREADS=1 python benchmarks/evaluation.py --output evaluation.json
"""

import ctypes
import gc
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pandas as pd
import torch
import tyro
from interleaved import quartiles
from torch import Tensor

import torchrec_ext as tx
from torchrec_ext.data import Dataset
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.retrieval import TrainedModel
from torchrec_ext.retrieval.encode import encode_items, encode_users

Figures = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """What is measured: MovieLens 1M if TORCHREC_EXT_DATA holds it, else generated events of that size."""

    dim: int = 64
    """Width of the vectors."""
    k: int = 10
    """Length of the lists."""
    chunk: int = 1024
    """Users at a time, of the torch loop too."""
    rounds: int = 9
    """Evaluations by each contender."""
    users: int = 6040
    """Generated users."""
    items: int = 3706
    """Generated items."""
    events: int = 1_000_000
    """Generated events, before repetitions are dropped."""
    quick: bool = False
    """A tenth of the users and events, generated, in 3 rounds."""
    output: Path | None = None
    """JSON file to write."""


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
    settings = tyro.cli(Settings)
    if settings.quick:
        settings = replace(settings, users=604, events=100_000, rounds=3)
    torch.set_num_threads(1)
    imported = memory("VmRSS")
    work = prepare(settings)
    ready = memory("VmRSS")
    contenders = {"evaluate": lambda: ours(work, settings), "torch loop": lambda: loop(work, settings)}
    if find_spec("implicit"):
        contenders["implicit"] = peer(work, settings)
    found: dict[str, dict[str, Any]] = {
        name: {"growth_bytes": growth(call)} for name, call in contenders.items()
    }
    figures = {name: call() for name, call in contenders.items()}
    for name in found:
        if abs(figures[name]["ndcg"] - figures["evaluate"]["ndcg"]) > 1e-4:
            raise RuntimeError(f"the figures differ: {figures}")
    timings: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(settings.rounds):
        for name, call in contenders.items():
            began = time.process_time()
            call()
            timings[name].append(time.process_time() - began)
    users = len(work.wanted_U)
    print(
        f"{users:,} users, {len(work.items_ID):,} items, {len(work.seen[0]):,} known events, ndcg {figures}"
    )
    print(f"memory after imports {imported >> 20} MiB, with data and model {ready >> 20} MiB")
    print(f"{'':<12}{'users/s':>10}{'(quartiles)':>20}{'ratio':>8}{'own peak MiB':>14}")
    for name, seconds in timings.items():
        low, middle, high = quartiles([users / s for s in seconds])
        ratio = quartiles([s / o for s, o in zip(seconds, timings["evaluate"], strict=True)])[1]
        found[name] |= {"users_per_second": middle, "evaluate_times_as_fast": ratio, **figures[name]}
        spread = f"{low:,.0f} to {high:,.0f}"
        print(f"{name:<12}{middle:>10,.0f}{spread:>20}{ratio:>8.2f}{found[name]['growth_bytes'] >> 20:>14}")
    if settings.output is not None:
        content = {
            "benchmark": "evaluation",
            "machine": machine.describe(torch.device("cpu")),
            "versions": machine.versions("numpy", "scipy", "implicit"),
            "settings": asdict(settings),
            "imports_bytes": imported,
            "ready_bytes": ready,
            "results": found,
        }
        settings.output.write_text(json.dumps(content, indent=1, default=str) + "\n")


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


def ours(work: Workload, settings: Settings) -> Figures:
    """Lists, ranks, ties and all figures of evaluate()."""
    report = tx.evaluation.evaluate(work.model, work.known, work.targets, settings.k, chunk=settings.chunk)
    return {"ndcg": report[f"ndcg@{settings.k}"]}


@torch.no_grad()
def loop(work: Workload, settings: Settings) -> Figures:
    """Scores, known items at -inf, the k best and the NDCG of the targets among them."""
    columns, offsets = map(torch.from_numpy, work.seen)
    wanted_U, gain = torch.from_numpy(work.wanted_U), 0.0
    for start in range(0, len(wanted_U), settings.chunk):
        stop = min(start + settings.chunk, len(wanted_U))
        scores = work.queries_UD[start:stop] @ work.items_ID.T
        rows = torch.arange(stop - start).repeat_interleave(offsets[start : stop + 1].diff())
        scores[rows, columns[offsets[start] : offsets[stop]]] = -torch.inf
        hits = torch.topk(scores, settings.k).indices == wanted_U[start:stop, None]
        gain += float((hits / torch.arange(2, settings.k + 2).log2()).sum())
    return {"ndcg": gain / len(wanted_U)}


def peer(work: Workload, settings: Settings) -> Callable[[], Figures]:
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

    def run() -> Figures:
        found: dict[str, Any] = ranking_metrics_at_k(
            model, known, targets, settings.k, show_progress=False, num_threads=1
        )
        return {"ndcg": float(found["ndcg"] * inside.mean())}  # of all users, as the others count

    return run


def growth(call: Callable[[], Figures]) -> int:
    """Bytes by which main memory in use rises at most during the first call."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again
    before = memory("VmRSS")
    call()
    return max(0, memory("VmHWM") - before)


def memory(kind: str) -> int:
    """Bytes of this process in use, VmRSS, or at most so far, VmHWM."""
    return int(Path("/proc/self/status").read_text().partition(f"{kind}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
