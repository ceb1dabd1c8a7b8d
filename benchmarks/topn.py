"""Times the k best items of queries: exact search, FAISS, and a matrix product with a partial sort.

python benchmarks/topn.py --output topn.json
python benchmarks/topn.py --items 100_000 --batch 1 32 --k 10 --kinds flat hnsw ivf
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import machine
import torch
import tyro
from index_search_data import planted
from interleaved import quartiles
from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_one_of
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import ExactIndex, exact_top_k
from torchrec_ext.serving import FaissIndex, recall

Record = dict[str, Any]
Search = Callable[[Tensor, int], Tensor]
"""(B, D) queries and k to (B, k) items."""


@dataclass(frozen=True)
class Settings:
    """What is measured."""

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
    neighbours: int = 16
    """Links of an item of hnsw."""
    build_threads: int = 1
    """Threads of a build; a search has one."""
    queries: int = 1000
    """Queries that recall is measured on."""
    rounds: int = 15
    """Timed blocks of each contender."""
    block_seconds: float = 0.2
    """Approximate length of a block."""
    quick: bool = False
    """100 thousand items in short rounds, in less than a minute."""
    output: Path | None = None
    """JSON file to write."""


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    try:
        settings = tyro.cli(Settings)
        if settings.quick:
            settings = replace(settings, items=(100_000,), rounds=5, block_seconds=0.05)
        check(settings)
        torch.set_num_threads(1)
        run(settings)
    except InputError as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        raise SystemExit(2) from None


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    for kind in settings.kinds:
        expect_one_of("kinds", kind, ("flat", "hnsw", "ivf"))
    least = min((*settings.batch, *settings.ef_search, *settings.probes, settings.dim, settings.rounds))
    expect_at_least(1, k=settings.k, batch_and_other_sizes=least)
    expect_at_least(max(settings.k, 100), items=min(settings.items, default=0))
    expect_at_least(max(settings.batch), queries=settings.queries)


def run(settings: Settings) -> None:
    """Measures every number of items, prints a table of each and writes the output file."""
    found: list[Record] = []
    for items in settings.items:
        vectors_ID, queries_QD = planted(items, settings.dim, settings.queries)
        contenders, measured = prepare(settings, vectors_ID, queries_QD)
        for batch in settings.batch:
            found += timed(settings, contenders, measured, queries_QD, items, batch)
            print(table([r for r in found if (r["items"], r["batch"]) == (items, batch)]), flush=True)
    if settings.output is not None:
        content = {
            "benchmark": "topn",
            "machine": machine.describe(torch.device("cpu")),
            "versions": machine.versions("numpy", "faiss-cpu"),
            "settings": asdict(settings),
            "results": found,
        }
        settings.output.write_text(json.dumps(content, indent=1, default=str) + "\n")


def prepare(
    settings: Settings, vectors_ID: Tensor, queries_QD: Tensor
) -> tuple[dict[str, Search], dict[str, Record]]:
    """The contenders by name, and of each its recall and the processor time that its index took."""
    ids_I = torch.arange(len(vectors_ID))
    exact = ExactIndex()
    exact.build(vectors_ID, ids_I)
    contenders: dict[str, Search] = {
        "torch": lambda queries, k: torch.topk(queries @ vectors_ID.T, k).indices,
        "ExactIndex": lambda queries, k: exact.search(queries, k)[1],
    }
    measured = {name: {"recall@10": 1.0, "recall@100": 1.0, "build_seconds": 0.0} for name in contenders}
    for name, search, seconds in _faiss_contenders(settings, vectors_ID, ids_I, queries_QD):
        contenders[name] = search
        figures = recall(_Searched(search), exact, queries_QD)
        measured[name] = {**figures, "build_seconds": seconds}
    for batch in settings.batch:
        some = queries_QD[:batch]
        wanted = exact_top_k(some @ vectors_ID.T, settings.k)
        if not all(map(torch.equal, wanted, exact.search(some, settings.k))):
            raise RuntimeError(f"lists of {batch} queries are not those of the float32 scores of all items")
    return contenders, measured


def _faiss_contenders(
    settings: Settings, vectors_ID: Tensor, ids_I: Tensor, queries_QD: Tensor
) -> Iterator[tuple[str, Search, float]]:
    if "flat" in settings.kinds:
        import faiss

        faiss.omp_set_num_threads(1)
        flat = faiss.IndexFlatIP(settings.dim)
        flat.add(vectors_ID.numpy())
        yield "FAISS flat", lambda queries, k: torch.from_numpy(flat.search(queries.numpy(), k)[1]), 0.0
    for kind, setting, values in (
        ("hnsw", "ef_search", settings.ef_search),
        ("ivf", "probes", settings.probes),
    ):
        if kind not in settings.kinds:
            continue
        index = FaissIndex(
            kind,  # type: ignore[arg-type]
            neighbours=settings.neighbours,
            build_threads=settings.build_threads,
            queries=queries_QD[:100],
        )
        began = time.process_time()
        index.build(vectors_ID, ids_I)
        seconds = time.process_time() - began
        for value in values:

            def search(
                queries: Tensor, k: int, index: Any = index, name: str = setting, to: int = value
            ) -> Tensor:
                setattr(index, name, to)
                found: Tensor = index.search(queries, k)[1]
                return found

            yield f"{kind} {setting}={value}", search, seconds


@dataclass(frozen=True)
class _Searched:
    """A search as an index, as far as ``recall`` needs one."""

    call: Search

    def build(self, vectors_ID: Tensor, ids_I: Tensor) -> None:
        """Nothing: it was built before."""

    def search(self, queries_BD: Tensor, k: int, exclude: Any = None) -> tuple[Tensor, Tensor]:
        """The items, and in place of scores the items again."""
        found = self.call(queries_BD, k)
        return found, found


def timed(
    settings: Settings,
    contenders: dict[str, Search],
    measured: dict[str, Record],
    queries_QD: Tensor,
    items: int,
    batch: int,
) -> list[Record]:
    """A record for each contender, timed alternately; ratios are medians of the ratio within a round.

    One thread searches, so its processor time is what a search takes on a machine without other programs.
    """

    def seconds_of(search: Search, steps: int) -> float:
        began = time.process_time()
        for step in range(steps):
            start = step * batch % (settings.queries - batch + 1)
            search(queries_QD[start : start + batch], settings.k)
        return (time.process_time() - began) / steps

    steps: dict[str, int] = {}
    timings: dict[str, list[float]] = {name: [] for name in contenders}
    for name, search in contenders.items():
        seconds_of(search, 1)  # the first search fills caches
        steps[name] = max(1, round(settings.block_seconds / max(1e-9, seconds_of(search, 3))))
    for _ in range(settings.rounds):
        for name, search in contenders.items():
            timings[name].append(seconds_of(search, min(steps[name], 10_000)))
    baseline = timings["torch"]
    found = []
    for name, rounds in timings.items():
        low, seconds, high = quartiles(rounds)
        ratio = quartiles([a / b for a, b in zip(rounds, baseline, strict=True)])[1]
        found.append({
            "items": items, "batch": batch, "contender": name, **measured[name], "seconds": seconds,
            "seconds_lower_quartile": low, "seconds_upper_quartile": high, "times_torch": ratio,
        })  # fmt: skip
    return found


def table(found: list[Record]) -> str:
    """An aligned table of one number of items and one batch."""
    lines = [f"{found[0]['items']:,} items, {found[0]['batch']} queries at a time"]
    lines.append(
        f"{'':<22}{'CPU ms':>9}{'(quartiles)':>18}{'of torch':>10}{'recall@10':>11}{'@100':>7}{'build s':>9}"
    )
    for r in found:
        spread = f"{1e3 * r['seconds_lower_quartile']:.2f} to {1e3 * r['seconds_upper_quartile']:.2f}"
        lines.append(
            f"{r['contender']:<22}{1e3 * r['seconds']:>9.2f}{spread:>18}{r['times_torch']:>10.3f}"
            f"{r['recall@10']:>11.3f}{r['recall@100']:>7.3f}{r['build_seconds']:>9.0f}"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
