"""Times the k best items of queries: exact search, FAISS, and a matrix product with a partial sort.

python benchmarks/topn.py --output topn.json --plot topn.png
python benchmarks/topn.py --items 100_000 --batch 1 32 --k 10 --kinds flat hnsw ivf
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from command import Common, check_common, run_command
from index_search_data import planted
from interleaved import compared, measure
from record import Row, save
from tables import table_of
from torch import Tensor

from torchrec_ext.checks import expect_one_of
from torchrec_ext.distributed import join_group
from torchrec_ext.retrieval import ExactIndex, exact_top_k
from torchrec_ext.serving import FaissIndex
from torchrec_ext.serving.recall import share_found

OURS, PRODUCT, FLAT = "ExactIndex", "torch", "FAISS flat"
Search = Callable[[Tensor, int], Tensor]
"""(B, D) queries and k to (B, k) items."""


@dataclass(frozen=True)
class Settings(Common):
    """What is measured; one thread searches, in processor time."""

    items: tuple[int, ...] = (100_000, 1_000_000)
    """Numbers of items."""
    batch: tuple[int, ...] = (1, 16, 256)
    """Numbers of queries of a search."""
    dim: int = 64
    """Width of the vectors."""
    k: int = 100
    """Length of the lists that are timed."""
    kinds: tuple[str, ...] = ("flat",)
    """Indexes of FAISS: flat is its exact one, hnsw a graph, ivf clusters."""
    ef_search: tuple[int, ...] = (64, 128, 256)
    """Candidates of hnsw."""
    probes: tuple[int, ...] = (16, 64, 200)
    """Clusters that ivf visits."""
    build_threads: int = 1
    """Threads of a build; a search has one."""
    queries: int = 1000
    """Queries that recall is measured on."""
    rounds: int = 15
    """Timed blocks of each contender, alternately."""
    block_seconds: float = 0.2
    """Approximate length of a block."""


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, {"items": (100_000,), "rounds": 5, "block_seconds": 0.05})


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    for kind in settings.kinds:
        expect_one_of("kinds", kind, ("flat", "hnsw", "ivf"))
    check_common(settings, batch=1, dim=1, k=1, ef_search=1, probes=1, build_threads=1, rounds=1)
    check_common(settings, items=max(settings.k, 100), queries=max(settings.batch))


def run(settings: Settings) -> None:
    """Measures every number of items, prints a table and writes the files."""
    join_group()
    rows: list[Row] = []
    for items in settings.items:
        vectors_ID, queries_QD = planted(items, settings.dim, settings.queries)
        exact = ExactIndex()
        exact.build(vectors_ID, torch.arange(items))
        expect_same_lists(settings, exact, vectors_ID, queries_QD)
        contenders: dict[str, Search] = {
            OURS: lambda queries, k, exact=exact: exact.search(queries, k)[1],  # type: ignore[misc]
            PRODUCT: lambda queries, k, all_ID=vectors_ID: (queries @ all_ID.T).topk(k)[1],  # type: ignore[misc]
        }
        catalogue = f"{items:,} items x {settings.dim}"
        for name, search, seconds in peers(settings, vectors_ID, queries_QD):
            contenders[name] = search
            if name == FLAT:
                continue
            rows.append(Row(catalogue, name, "build s", seconds))
            for k in (10, 100):
                share = share_found(contenders[OURS](queries_QD, k), search(queries_QD, k))
                rows.append(Row(catalogue, name, f"recall@{k}", share))
        for batch in settings.batch:
            case = f"{catalogue}, {batch} {'queries' if batch > 1 else 'query'}, lists of {settings.k}"
            rows += timed(settings, case, contenders, queries_QD, batch)
    print(table_of(rows))
    save(settings, "topn", rows, drawn="ms", packages=("numpy", "faiss-cpu"))


def expect_same_lists(settings: Settings, exact: ExactIndex, vectors_ID: Tensor, queries_QD: Tensor) -> None:
    """Refuses lists that are not, bit for bit, those of the float32 scores of all items."""
    for batch in settings.batch:
        some = queries_QD[:batch]
        wanted = exact_top_k(some @ vectors_ID.T, settings.k)
        if not all(map(torch.equal, wanted, exact.search(some, settings.k))):
            raise RuntimeError(f"lists of {batch} queries are not those of the float32 scores of all items")


def peers(settings: Settings, vectors_ID: Tensor, queries_QD: Tensor) -> Iterator[tuple[str, Search, float]]:
    """Name, search and processor time of the build of each index of FAISS."""
    if "flat" in settings.kinds:
        import faiss

        faiss.omp_set_num_threads(1)
        flat = faiss.IndexFlatIP(settings.dim)
        flat.add(vectors_ID.numpy())
        yield FLAT, lambda queries, k: torch.from_numpy(flat.search(queries.numpy(), k)[1]), 0.0
    for kind, setting, values in (
        ("hnsw", "ef_search", settings.ef_search),
        ("ivf", "probes", settings.probes),
    ):
        if kind in settings.kinds:
            index = FaissIndex(kind, build_threads=settings.build_threads, queries=queries_QD[:100])  # type: ignore[arg-type]
            began = time.process_time()
            index.build(vectors_ID, torch.arange(len(vectors_ID)))
            seconds = time.process_time() - began
            for value in values:
                yield f"{kind} {setting}={value}", partial(search_with, index, setting, value), seconds


def search_with(index: FaissIndex, setting: str, value: int, queries_BD: Tensor, k: int) -> Tensor:
    """(B, k) items of an approximate search."""
    setattr(index, setting, value)
    return index.search(queries_BD, k)[1]


def timed(
    settings: Settings, case: str, contenders: dict[str, Search], queries_QD: Tensor, batch: int
) -> list[Row]:
    """A row of each contender beside torch, and of ours beside the exact index of FAISS."""

    def step(search: Search, number: int) -> Tensor:
        start = number * batch % (len(queries_QD) - batch + 1)
        return search(queries_QD[start : start + batch], settings.k)

    timings = measure(
        {name: partial(step, search) for name, search in contenders.items()},
        rounds=settings.rounds,
        warmup=1,
        block_seconds=settings.block_seconds,
        synchronise=lambda: None,
        clock="processor",
    )
    times = {name: timing.rounds for name, timing in timings.items()}
    pairs = [(name, PRODUCT) for name in contenders if name != PRODUCT]
    pairs += [(OURS, FLAT)] * (FLAT in contenders)
    ms = {name: 1e3 * timing.quartiles[1] for name, timing in timings.items()}
    rows = [compared(case, name, "ms", ms[name], to, times[name], times[to]) for name, to in pairs]
    return [*rows, Row(case, PRODUCT, "ms", ms[PRODUCT])]


if __name__ == "__main__":
    main()
