"""Groups of settings of fit()."""

import math
from dataclasses import dataclass
from typing import Literal

from torchrec_ext.checks import expect_at_least, expect_one_of, expect_whole
from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Optimization:
    """Batch size, learning rates and precision.

    Sharded tables are updated in the backward pass by fused row-wise Adagrad, the rest by AdamW.

    Raises:
        InputError: for a number that is out of range or not finite, or an unknown precision.

    Example:
        >>> Optimization(learning_rate=1e-3).table_learning_rate
        0.1
    """

    global_batch_size: int | None = None
    """Examples per step over all ranks. By default 32 histories if every event of a history is learnt, else
    2,048 events, or fewer so that an epoch has at least 32 steps."""
    learning_rate: float = 2e-3
    """Learning rate of AdamW, for everything but the sharded tables."""
    table_learning_rate: float = 0.1
    """Learning rate of the fused row-wise Adagrad of the sharded tables."""
    warmup_steps: int | None = None
    """Steps over which AdamW's learning rate rises linearly. By default half an epoch, at most 100, if
    every event of a history is learnt, else none."""
    weight_decay: float = 0.0
    """Weight decay of AdamW."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the dense part of a retriever; bfloat16 is autocast."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "table_learning_rate", "weight_decay"):
            value = getattr(self, name)
            if not math.isfinite(value):
                raise InputError(f"{name} should be a finite number, received {value}")
            expect_at_least(0, **{name: value})
        if self.global_batch_size is not None:
            expect_whole(1, global_batch_size=self.global_batch_size)
        expect_whole(0, warmup_steps=self.warmup_steps or 0)
        expect_one_of("precision", self.precision, ("float32", "bfloat16"))


@dataclass(frozen=True)
class EarlyStopping:
    """When training stops before its last epoch, and which epoch is the best.

    Raises:
        InputError: for a patience below 1.

    Example:
        >>> EarlyStopping(patience=5, monitor="ndcg@20")
        EarlyStopping(patience=5, monitor='ndcg@20')
    """

    patience: int = 3
    """Epochs without a better validation metric before training stops."""
    monitor: str | None = None
    """Validation metric that decides, such as ndcg@20, mrr, auc or loss. By default ndcg@10 of a retriever,
    auc of a ranker, group_auc of one that learns within groups."""

    def __post_init__(self) -> None:
        expect_whole(1, patience=self.patience)


@dataclass(frozen=True)
class Checkpoints:
    """How often a run is saved, and how many checkpoints are kept.

    Raises:
        InputError: for a number below 1.

    Example:
        >>> Checkpoints(every=500)
        Checkpoints(every=500, keep=2)
    """

    every: int | None = None
    """Steps between checkpoints within an epoch; one is saved at the end of each epoch in any case."""
    keep: int = 2
    """Number of newest checkpoints to keep besides the best."""

    def __post_init__(self) -> None:
        if self.every is not None:
            expect_whole(1, every=self.every)
        expect_whole(1, keep=self.keep)
