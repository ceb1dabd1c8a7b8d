"""Large tables move into huge pages and keep their values."""

import doctest
import re
from pathlib import Path

import pytest
import torch

from torchrec_ext.distributed import huge_pages
from torchrec_ext.distributed.huge_pages import LEAST_BYTES, use_huge_pages

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def huge_kilobytes() -> int:
    return int(re.findall(r"AnonHugePages: +(\d+)", Path("/proc/self/smaps_rollup").read_text())[0])


@pytest.mark.skipif(
    not SWITCH.exists() or "[never]" in SWITCH.read_text(),
    reason="the kernel gives no transparent huge pages",
)
def test_a_large_storage_moves_and_keeps_its_values() -> None:
    table = torch.arange(LEAST_BYTES // 4 + 5, dtype=torch.int32)
    row, address, before = table[7:9], table.data_ptr(), huge_kilobytes()
    use_huge_pages(row)
    assert table.data_ptr() == address
    assert table[-1] == len(table) - 1
    assert torch.equal(row, torch.tensor([7, 8], dtype=torch.int32))
    if tuple(map(int, re.findall(r"\d+", Path("/proc/sys/kernel/osrelease").read_text())[:2])) >= (6, 1):
        assert huge_kilobytes() - before >= LEAST_BYTES // 2 // 1024


def test_a_small_storage_stays() -> None:
    table = torch.zeros(LEAST_BYTES // 4 - 1)
    before = huge_kilobytes()
    use_huge_pages(table)
    assert huge_kilobytes() == before


def test_examples() -> None:
    assert doctest.testmod(huge_pages) == (0, 2)
