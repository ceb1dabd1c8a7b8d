"""Runs a function in several processes that form one gloo group."""

import os
import pickle
import socket
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.multiprocessing


def run(function: Callable[..., Any], *args: Any, processes: int = 2, timeout: float = 240) -> list[Any]:
    """Calls ``function(*args)`` once a rank and returns what each rank returned, by rank.

    The function stands at the top level of a test module. It finds torchrun's environment variables
    and one thread; it makes the process group itself, or the code under test does.
    """
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        context = torch.multiprocessing.get_context("spawn")
        children = [
            context.Process(target=_child, args=(rank, processes, port, folder, function, args))
            for rank in range(processes)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join(timeout)
        hung = [rank for rank, child in enumerate(children) if child.is_alive()]
        for child in children:
            child.kill()
        failures = [f.read_text() for f in sorted(Path(folder).glob("*.error"))]
        assert not failures, "\n".join(failures)
        assert not hung, f"ranks {hung} did not end within {timeout} s"
        return [pickle.loads(Path(folder, f"{rank}.result").read_bytes()) for rank in range(processes)]


def _child(rank: int, processes: int, port: int, folder: str, function: Callable, args: tuple) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    try:
        result = function(*args)
        Path(folder, f"{rank}.result").write_bytes(pickle.dumps(result))
    except BaseException:
        Path(folder, f"{rank}.error").write_text(f"rank {rank}: {traceback.format_exc()}")
        raise
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
