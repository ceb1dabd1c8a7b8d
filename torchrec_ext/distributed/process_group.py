"""The process group: an existing one, torchrun's, or a group of one process."""

import os
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Group:
    """This process and the group that it trains in.

    Args:
        rank: number of this process, from 0.
        world_size: number of processes.
        device: the device that this process computes on.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which alone prints and writes."""
        return self.rank == 0


_OF_TORCHRUN = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
"""The variables that torchrun sets; some clusters set a few of them for other purposes."""
_YEAR = 365 * 86_400


def join_group(device: str = "cpu", *, timeout: float = 300.0) -> Group:
    """Joins an existing process group, or torchrun's, or else makes a group of this process alone.

    An existing group is not changed, nor is its timeout.

    Args:
        device: ``cpu`` (gloo) or ``cuda`` (NCCL, one GPU a process).
        timeout: seconds after which a collective call fails when a rank is missing; a rank that dies
            ends the others after at most that long.

    Raises:
        InputError: if CUDA is asked for and absent, or the timeout is not positive or more than a year.

    Example:
        >>> join_group().world_size
        1
    """
    if device not in ("cpu", "cuda"):
        raise InputError(f"device must be cpu or cuda, received {device!r}")
    if not 0 < timeout <= _YEAR:
        raise InputError(f"timeout must be more than 0 seconds and at most a year, received {timeout:g}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device is cuda, but torch finds no GPU; use --device cpu, or install with BACKEND=cuda"
        )
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        limit = timedelta(seconds=timeout)
        if os.environ.keys() >= _OF_TORCHRUN:
            store, rank, size = next(dist.rendezvous("env://", timeout=limit))
            # torchrun keeps its store when it starts the ranks again, with the addresses of dead ones in it
            attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
            store = dist.PrefixStore(f"attempt {attempt}", store)
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=limit)
        else:
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1, timeout=limit)
    where = torch.device("cpu")
    if device == "cuda":
        where = torch.device(
            "cuda", int(os.environ.get("LOCAL_RANK", dist.get_rank() % torch.cuda.device_count()))
        )
        torch.cuda.set_device(where)
    return Group(dist.get_rank(), dist.get_world_size(), where)


def world() -> tuple[int, int]:
    """Rank and world size; 0 and 1 without a process group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def local_world_size() -> int:
    """Ranks on this machine: torchrun's count, or else all of them."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", dist.get_world_size()))


def barrier() -> None:
    """Waits until every rank is here; nothing without a process group."""
    if dist.is_initialized():
        dist.barrier()
