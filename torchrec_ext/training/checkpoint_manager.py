"""CheckpointManager: saves a run in checkpoints, or keeps the best weights in memory."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torchrec.optim.keyed import CombinedOptimizer

from torchrec_ext.data.preparation import Preparation
from torchrec_ext.training.checkpoint import load_weights, save_checkpoint
from torchrec_ext.training.find_checkpoint import find_checkpoint
from torchrec_ext.training.run_state import RunState


class CheckpointManager:
    """Saves after each epoch and restores the best one; every rank must make the same calls.

    Args:
        run: folder of the run; None keeps this rank's part of the best weights in memory instead.
        model: sharded.
        optimizer: of the model.
        preparation: how ids became rows.
        settings: the arguments of ``fit``, as plain values.
        keep: number of newest checkpoints to keep besides the best.
    """

    def __init__(
        self,
        run: Path | None,
        model: nn.Module,
        optimizer: CombinedOptimizer,
        preparation: Preparation,
        settings: Mapping[str, Any],
        keep: int,
    ) -> None:
        self.run, self.model, self.optimizer = run, model, optimizer
        self.preparation, self.settings, self.keep = preparation, settings, keep
        self.copies: list[Tensor] = []

    def save(self, state: RunState, *, best: bool = False) -> None:
        """Saves the position of the run; ``best`` if no epoch was better."""
        if self.run is not None:
            save_checkpoint(
                self.run, state.total_steps, self.model, self.optimizer, self.preparation, asdict(state),
                self.settings, keep=self.keep, best=best,
            )  # fmt: skip
        elif best:
            self.copies = [part.detach().clone() for part in _parts(self.model)]

    def restore_best(self) -> None:
        """Restores the weights of the best epoch."""
        if self.run is not None:
            load_weights(find_checkpoint(self.run, "best"), self.model)
        elif self.copies:
            for part, copy in zip(_parts(self.model), self.copies, strict=True):
                part.detach().copy_(copy)


def _parts(model: nn.Module) -> list[Tensor]:
    """The tensors that hold this rank's part of the weights."""
    parts: list[Tensor] = []
    for value in model.state_dict().values():
        parts += [s.tensor for s in value.local_shards()] if isinstance(value, ShardedTensor) else [value]
    return parts
