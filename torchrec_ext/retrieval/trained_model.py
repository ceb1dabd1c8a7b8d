"""TrainedModel: a sharded model with the ids of its data, which every step after training takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from torch import nn

from torchrec_ext.batch import Inputs
from torchrec_ext.data.as_written import as_written
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import inputs_of

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class TrainedModel(Generic[Model]):
    """What ``fit`` and ``load`` return, and what ``evaluate``, ``recommend`` and ``predict`` take.

    A model that you sharded yourself becomes one with the preparation of its training part:
    ``TrainedModel(model, train.preparation)``.

    Args:
        module: a sharded retriever or ranker.
        preparation: how ids became rows, and the fitted features.
        history: a row for each epoch: losses, validation figures, speed.
        settings: what ``fit`` was called with, as plain values; empty for a model you sharded yourself.
        run: folder of the run, or None.
        checkpoint: folder of the checkpoint that the weights are in, or None.
        seconds: time that training took.

    Raises:
        InputError: if the module is neither a retriever nor a ranker.
    """

    module: Model
    preparation: Preparation
    history: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    run: Path | None = None
    checkpoint: Path | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        inputs_of(self.module)

    @property
    def inputs(self) -> Inputs:
        """What the model reads."""
        return inputs_of(self.module)

    @property
    def epochs(self) -> int:
        """Number of epochs that were trained."""
        return len(self.history)

    @property
    def examples_per_second(self) -> float:
        """Mean speed of training over the epochs; 0 where no epoch was trained."""
        return float(self.history["samples_per_second"].mean()) if len(self.history) else 0.0

    def threshold(self, positive: float | Sequence[float] | None = None) -> float:
        """Least rating of an interested user for a ranker's first task.

        Args:
            positive: as ``fit`` takes it; None takes that of the training, or 4 without one.
        """
        chosen = self.settings.get("positive", 4.0) if positive is None else positive
        return float(np.atleast_1d(as_written(chosen))[0])


def expect_trained(model: Any) -> None:
    """Refuses what is not a :class:`TrainedModel`.

    Raises:
        InputError: with the remedy.
    """
    if isinstance(model, TrainedModel):
        return
    remedy = "give what training.fit or training.load returned"
    if isinstance(model, nn.Module):
        remedy += ", or wrap a model you sharded yourself: retrieval.TrainedModel(model, train.preparation)"
    raise InputError(f"model should be a TrainedModel, received a {type(model).__name__}; {remedy}")
