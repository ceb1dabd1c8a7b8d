"""quiet_libraries(): mutes warnings of torch and torchrec that a user cannot act on."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Mutes warnings of torch 2.13 and torchrec 1.8 while they plan, shard, trace and checkpoint.

    torchrec calls deprecated functions of torch, warns about the defaults of its own planner, and logs
    through the root logger at every use. A user cannot act on any of it. Errors are not muted.
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
