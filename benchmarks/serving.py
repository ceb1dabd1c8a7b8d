"""Times of a service under load on loopback: lists at a steady rate, overload, and durable events.

python benchmarks/serving.py --items 100_000 --rate 100
python benchmarks/serving.py --items 1_000_000 --encoder mean_pool --index hnsw --ef-search 1024
"""

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from command import Common, check_common, run_command
from index_search_data import planted
from open_loop import Answers, offer, post, saturate
from record import Row, save
from tables import table_of

import torchrec_ext as tx
from torchrec_ext.data import Dataset
from torchrec_ext.distributed import quiet_libraries, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import TrainedModel
from torchrec_ext.serving import Bundle

ROOT = Path(__file__).resolve().parent.parent
_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Settings(Common):
    """Loads recipes/serve.py over a generated bundle with planted item vectors and an untrained encoder.

    Times are counted from the moment that a request is due; CPU is what the service used of the processor for
    each, refused ones included. The load takes a part of the same cores.
    """

    items: int = 100_000
    """Items of the catalogue."""
    users: int = 20_000
    """Users of the bundle; each has 20 events, or more to reach every item."""
    dim: int = 64
    """Width of the vectors."""
    encoder: str = "gru"
    """Of the histories."""
    index: Literal["exact", "hnsw", "ivf"] = "exact"
    """How the service finds items; an approximate index is built into the bundle."""
    ef_search: int | None = None
    """Candidates of a query of hnsw."""
    probes: int | None = None
    """Clusters that a query of ivf visits."""
    rate: float = 100.0
    """Lists a second of the steady load."""
    seconds: float = 20.0
    """Of each load."""
    overload: float = 5.0
    """How many times what the service can do the overload is."""
    max_in_flight: tuple[int, ...] = (4,)
    """Limits of requests in flight to compare."""
    threads: int = 1
    """Threads of torch in the service."""
    folder: Path | None = None
    """Where the bundle is kept for another run; by default nowhere."""


QUICK: dict[str, Any] = {"items": 2000, "users": 500, "rate": 20.0, "seconds": 3.0}


def main() -> None:
    """Reads the command line, measures, prints and writes."""
    run_command(Settings, check, run, QUICK)


def check(settings: Settings) -> None:
    """Refuses what cannot be measured."""
    check_common(settings, items=2, users=1, dim=1, max_in_flight=1, threads=1)
    if min(settings.rate, settings.seconds, settings.overload) <= 0:
        raise InputError("--rate, --seconds and --overload should be more than 0")


def run(settings: Settings) -> None:
    """Makes the bundle, measures each limit, prints a table and writes the files."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = settings.folder or Path(temporary)
        name = f"{settings.items}-{settings.dim}-{settings.encoder}-{settings.index}"
        bundle = folder / f"bundle-{name}-{settings.ef_search or settings.probes or 'default'}"
        if not bundle.exists():
            make_bundle(settings, bundle)
        case = f"{settings.items:,} items x {settings.dim}, {settings.encoder}, {settings.index}, lists of 10"
        rows = [row for limit in settings.max_in_flight for row in measure(settings, bundle, limit, case)]
        index = json.loads((bundle / "bundle.json").read_text()).get("index") or {"recall": {}}
        rows += [Row(case, "index", name, value) for name, value in index["recall"].items()]
        print(table_of(rows))
        save(settings, "serving", rows, packages=["uvicorn", "fastapi"])


def make_bundle(settings: Settings, folder: Path) -> None:
    """A bundle with events of every item before the two newest of each user, which are not trained on."""
    rng = np.random.default_rng(0)
    first = rng.permutation(np.arange(max(18 * settings.users, settings.items)) % settings.items)
    count = len(first) + 2 * settings.users
    events = pd.DataFrame({
        "user": np.arange(count) % settings.users,
        "item": np.concatenate([first, rng.integers(0, settings.items, 2 * settings.users)]),
        "timestamp": 1.6e9 + np.sort(rng.integers(0, 10**7, count)),
    })  # fmt: skip
    known = tx.data.read_events(events)
    index = None
    if settings.index != "exact":
        index = tx.serving.FaissIndex(settings.index, ef_search=settings.ef_search, probes=settings.probes)
    export_untrained(
        known, tx.data.leave_last_out(known)[0], settings.dim, settings.encoder, 50, folder, index
    )


def export_untrained(
    known: tx.data.Events,
    train: Dataset,
    dim: int,
    encoder: str,
    length: int,
    folder: Path,
    index: Any = None,
) -> Bundle:
    """A bundle of first weights of the encoder and planted item vectors, in a process group of one."""
    tx.distributed.join_group()
    torch.manual_seed(0)
    model = tx.models.TwoTower(train.schema, dim, encoder, max_length=length)
    with quiet_libraries():
        shard(model)
    initialise_tables(model, 0)
    table = model.state_dict()["embeddings.events.embeddings.item.weight"].local_shards()[0].tensor
    table[1:] = planted(len(table) - 1, dim, queries=200)[0]
    trained = TrainedModel(model.eval(), train.preparation)
    return tx.serving.export(trained, folder, events=known, index=index)


def measure(settings: Settings, bundle: Path, limit: int, case: str) -> list[Row]:
    """The rows of each load."""
    rng = random.Random(0)

    def a_list() -> bytes:
        return post("/recommend", b'{"user": %d, "k": 10}' % rng.randrange(settings.users))

    def ten_events() -> bytes:
        events = [
            {"user": rng.randrange(settings.users), "item": rng.randrange(settings.items)} for _ in range(10)
        ]
        return post("/events", json.dumps(events).encode())

    rows: list[Row] = []
    with serving(bundle, limit, settings.threads) as (process, port):

        def load(
            name: str, request: Callable[[], bytes], seconds: float, rate: float = 0, clients: int = 0
        ) -> Answers:
            before = processor_seconds(process)
            if rate:
                answers = asyncio.run(offer(_HOST, port, request, rate, seconds))
            else:
                answers = asyncio.run(saturate(_HOST, port, request, clients, seconds))
            figures = figures_of(answers, processor_seconds(process) - before)
            figures["MiB"] = memory(process) / 2**20
            rows.extend(Row(f"{case}, limit {limit}", name, metric, v) for metric, v in figures.items())
            return answers

        asyncio.run(offer(_HOST, port, a_list, settings.rate, 3))
        load("steady", a_list, settings.seconds, settings.rate)
        able = load(f"{limit} clients", a_list, settings.seconds / 4, clients=limit)
        rate = settings.overload * able.count(200) / able.seconds
        load(f"{settings.overload:g} times as much", a_list, settings.seconds, rate)
        load("steady again", a_list, settings.seconds / 4, settings.rate)
        load("10 events, 8 clients", ten_events, settings.seconds / 2, clients=8)
    return rows


@contextmanager
def serving(bundle: Path, limit: int, threads: int) -> Iterator[tuple[subprocess.Popen, int]]:
    """A service at a free port, and its process."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--bundle", str(bundle), "--events", f"{folder}/events.sqlite", "--port", "0"]
        command = [sys.executable, str(ROOT / "recipes" / "serve.py"), *words, "--max-in-flight", str(limit)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)/$", process.stdout.readline().strip())
            if found is None:
                raise SystemExit("the service did not start")
            yield process, int(found[1])
        finally:
            process.terminate()
            process.communicate()


def figures_of(answers: Answers, processor: float) -> dict[str, float]:
    """What became of the requests of a load; times in milliseconds are of accepted ones, CPU of all."""
    total = sum(map(len, answers.by_status.values()))
    accepted, refused = answers.count(200), answers.count(503)
    times = {f"p{percent} ms": answers.milliseconds(percent) for percent in (50, 99) if accepted}
    return {
        "offered/s": answers.offered,
        "answered/s": accepted / answers.seconds,
        "503": refused,
        "failed": total - accepted - refused,
        **times,
        "CPU ms": 1000 * processor / max(1, total),
    }


def memory(process: subprocess.Popen) -> int:
    """Bytes of main memory of a process."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(process: subprocess.Popen) -> float:
    """What a process has used of the processor."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
