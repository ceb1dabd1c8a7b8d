"""use_huge_pages(): moves a large table into pages of 2 MB, in which rows are found faster."""

import ctypes
import sys

from torch import Tensor

LEAST_BYTES = 32 * 2**20
"""Of smaller storages a processor remembers the addresses of all pages anyway."""
_PAGE = 2 * 2**20
_PREFER, _COLLAPSE = 14, 25  # MADV_HUGEPAGE, MADV_COLLAPSE: Linux, include/uapi/asm-generic/mman-common.h


def use_huge_pages(tensor: Tensor) -> None:
    """Asks Linux to hold the storage of a tensor in pages of 2 MB in place of 4 kB; values and address stay.

    A lookup in a large table also looks for the page of each row, which takes about as long as reading
    the row. Moving takes two seconds of processor time for a gigabyte, once. Linux before 6.1 does it in
    the background, if at all; small tensors, other devices and other systems stay as they are.

    Args:
        tensor: of any shape and dtype; other views of its storage move with it.

    Example:
        >>> import torch
        >>> use_huge_pages(torch.zeros(16))
    """
    storage = tensor.untyped_storage()
    if sys.platform != "linux" or tensor.device.type != "cpu" or storage.nbytes() < LEAST_BYTES:
        return
    begin = -(-storage.data_ptr() // _PAGE) * _PAGE
    end = (storage.data_ptr() + storage.nbytes()) // _PAGE * _PAGE
    madvise = ctypes.CDLL(None).madvise
    for advice in (_PREFER, _COLLAPSE):
        # a refusal leaves the pages as they are
        madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), advice)
