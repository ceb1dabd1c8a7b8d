"""A small bundle with titles, and a service over it in a process of its own."""

import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import torch

from tests.worlds import small_world
from torchrec_ext.data import Events, leave_last_out, read_events
from torchrec_ext.distributed import join_group
from torchrec_ext.models import TwoTower
from torchrec_ext.serving import export
from torchrec_ext.training import Optimization, fit


def events(strings: bool = False) -> Events:
    """The small world, whose items have titles."""
    world = small_world(strings=strings)
    items = world.items.assign(title=[f"Film {str(item)[-3:]}" for item in world.items["item"]])
    return read_events(world.frame, users=world.users, items=items, context=["device", "hour"])


def write_bundle(folder: Path, encoder: str = "gru", *, context: bool = False, strings: bool = False) -> Path:
    """Trains a model for an epoch, and exports it."""
    join_group()
    known = events(strings)
    train, _, _ = leave_last_out(known)
    torch.manual_seed(0)
    fields = ("context_device", "context_hour") if context else ()
    of_items = ("item_genres", "item_price") if context else ()
    model = TwoTower(train.schema, 8, encoder, fields, of_items, max_length=20)
    optimization = Optimization(global_batch_size=64, learning_rate=0.01)
    trained = fit(model, train, epochs=1, progress=False, optimization=optimization)
    export(trained, folder, events=known)
    return folder


PROCESSES = multiprocessing.get_context("forkserver")  # which imports torch once, and not at every start
PROCESSES.set_forkserver_preload(
    ["recipes.serve", "torchrec_ext.command_line.run", "torchrec_ext.command_line.parse"]
    + [f"torchrec_ext.serving.{name}" for name in ("service", "event_store", "http.app", "http.server")]
)


@dataclass
class Served:
    """A service that runs in a process of its own, and the folder with what it writes."""

    process: multiprocessing.Process
    folder: Path
    url: str = ""

    def client(self, **more) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **more)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it as an operator does: nothing is in its log."""
        os.kill(self.process.pid, number)
        self.process.join(30)
        assert self.process.exitcode == 0 and self.errors() == ""

    def errors(self) -> str:
        return (self.folder / "err").read_text()


def launch(bundle: Path, log: Path | str, *more: object) -> Served:
    """Starts ``recipes/serve.py`` at a free port, which is not known yet."""
    words = ["--bundle", bundle, "--events", log, "--port", "0", *more]
    folder = Path(tempfile.mkdtemp(dir=log.parent if isinstance(log, Path) else None))
    process = PROCESSES.Process(target=_run, args=([str(word) for word in words], folder), daemon=True)
    process.start()
    return Served(process, folder)


def start(bundle: Path, log: Path | str, *more: object) -> Served:
    """The same, once it serves."""
    served, found = launch(bundle, log, *more), None
    process, folder = served.process, served.folder
    end = time.monotonic() + 120
    while not found:
        assert process.is_alive() and time.monotonic() < end, served.errors()
        time.sleep(0.02)
        if (folder / "out").exists():
            found = re.fullmatch(r"serving at (http://\S+)\n", (folder / "out").read_text())
    served.url = found[1]
    return served


def _run(words: list[str], folder: Path) -> None:
    import torch

    from recipes import serve
    from torchrec_ext.command_line import run_recipe

    for stream, name in ((2, "err"), (1, "out")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    torch.set_num_threads(1)
    sys.argv = ["serve.py", *words]
    run_recipe(serve.main, serve.Settings)


@contextmanager
def serving(bundle: Path, log: Path | str, *more: object) -> Iterator[Served]:
    """The same, ended afterwards."""
    served = start(bundle, log, *more)
    try:
        yield served
    finally:
        served.kill()


def memory(pid: int) -> int:
    """Bytes of main memory that a process uses."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
