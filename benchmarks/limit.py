"""The limit of lookups: a gather in C with prefetch, and one packed nn.EmbeddingBag."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from id_batches import IdBatch
from torch import Tensor
from torch.nn import functional

Lookup = Callable[[IdBatch], Tensor]


def lookups(weights_TRW: Tensor, pooling: int, batch: int) -> dict[str, Lookup]:
    """Two ways to pool the rows of all tables, stacked; the faster one is the limit.

    The order of the result is that of the stacked bags, (T * B, W), so that none is moved.

    Args:
        weights_TRW: (T, R, W) float32 weights.
        pooling: ids of a bag.
        batch: bags of a table.

    Returns:
        The lookups by name; the one in C only on a CPU and if there is a compiler, ``cc``.
    """
    stacked = weights_TRW.flatten(0, 1)
    bags, width = len(weights_TRW) * batch, stacked.shape[1]
    offsets = torch.arange(0, bags * pooling, pooling, device=stacked.device)
    sums = torch.empty(bags, width)
    found: dict[str, Lookup] = {
        "packed torch": lambda ids: functional.embedding_bag(ids.gather_rows, stacked, offsets, mode="sum")
    }
    pool_rows = _compiled() if stacked.device.type == "cpu" else None
    if pool_rows is None:
        return found

    def gather(ids: IdBatch) -> Tensor:
        pool_rows(stacked.data_ptr(), ids.gather_rows.data_ptr(), bags, pooling, width, sums.data_ptr())
        return sums

    return {"C gather": gather, **found}


def _compiled() -> Callable[..., None] | None:
    if shutil.which("cc") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "gather.so"
        source = Path(__file__).parent / "gather.c"
        # not -ffast-math: a library linked with it turns subnormal numbers off in the whole process
        flags = ["-O3", "-march=native", "-shared", "-fPIC"]
        subprocess.run(["cc", *flags, str(source), "-o", str(library)], check=True)
        function = ctypes.CDLL(str(library)).pool_rows
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    function.argtypes = [pointer, pointer, number, number, number, pointer]
    function.restype = None
    return function
