import os

import pytest
import torch
import torch.distributed as dist

from tests import processes
from torchrec_ext.distributed import barrier, join_group, world
from torchrec_ext.errors import InputError


def join_torchruns() -> tuple[int, int, bool, str, bool]:
    group = join_group(timeout=60)
    barrier()
    assert world() == (group.rank, group.world_size)
    existing = dist.group.WORLD
    join_group()
    return group.rank, group.world_size, group.first, str(group.device), dist.group.WORLD is existing


def join_alone() -> tuple[int, int]:
    """With what some clusters set, which is a part of what torchrun sets."""
    del os.environ["MASTER_ADDR"], os.environ["RANK"]
    os.environ["WORLD_SIZE"] = "7"
    assert world() == (0, 1) and not dist.is_initialized()
    barrier()  # without a group
    group = join_group()
    assert group.first
    return group.rank, group.world_size


def test_joins_torchruns_group_and_stays_in_it():
    assert processes.run(join_torchruns) == [(0, 2, True, "cpu", True), (1, 2, False, "cpu", True)]


def test_makes_a_group_of_one_where_there_is_none():
    assert processes.run(join_alone, processes=1) == [(0, 1)]


def test_a_group_that_exists_is_reused():
    first = join_group()
    existing = dist.group.WORLD
    assert join_group() == first
    assert dist.group.WORLD is existing


def test_an_unknown_device_is_refused():
    with pytest.raises(InputError, match="device must be cpu or cuda, received 'tpu'"):
        join_group("tpu")


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 1e20])
def test_a_timeout_that_is_none_is_refused(timeout):
    with pytest.raises(InputError, match="timeout must be more than 0 seconds and at most a year, received"):
        join_group(timeout=timeout)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_explained():
    with pytest.raises(InputError, match="torch finds no GPU; use --device cpu"):
        join_group("cuda")
