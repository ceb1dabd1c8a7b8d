"""Silence for what the libraries below remark on their own calls."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Mutes torch 2.13's and torchrec 1.8's remarks while they plan, shard, trace and checkpoint.

    torchrec calls what torch has deprecated, warns that its own planner's defaults are not the best,
    and logs through the root logger at every use; nothing in it can be mended by the user. Errors
    come through.
    """
    loggers = [logging.getLogger(name) for name in ("torchrec", "torch.fx", "torch.distributed")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(torch|torchrec|torchmetrics|fbgemm_gpu)\b")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
