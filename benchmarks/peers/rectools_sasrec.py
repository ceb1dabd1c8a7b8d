"""SASRec of RecTools, through its own data loader and trainer."""

import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor


class RecToolsSASRec:
    """Each window is a user, so that an epoch has the same targets as those of the other contenders.

    RecTools pads every window to ``length`` and computes the logits of padding too.

    Args:
        windows: item rows of each, of which the next one is predicted.
        batch: windows of a step.
        length: the most events of a window.
        encoder: our SASRec, whose sizes it takes.
    """

    def __init__(self, windows: list[Tensor], batch: int, length: int, encoder: Any) -> None:
        from pytorch_lightning import Trainer
        from rectools import Columns
        from rectools.dataset import Dataset
        from rectools.models import SASRecModel

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        items = torch.cat(windows).numpy()
        users = np.repeat(np.arange(len(windows)), [len(window) for window in windows])
        events = pd.DataFrame({Columns.User: users, Columns.Item: items, Columns.Weight: 1.0})
        events[Columns.Datetime] = pd.to_datetime(np.arange(len(items)), unit="s")

        def make_trainer() -> Trainer:
            return Trainer(
                max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False,
            )  # fmt: skip

        self.model = SASRecModel(
            n_blocks=encoder.layers, n_heads=encoder.heads, n_factors=encoder.dim,
            dropout_rate=encoder.dropout, session_max_len=length, batch_size=batch, loss="softmax", lr=1e-3,
            get_trainer_func=make_trainer,
        )  # fmt: skip
        self.dataset = Dataset.construct(events)
        self.targets = len(items) - len(windows)
        self.loader: Any = None

    def epoch(self) -> int:
        """Learns every window once, in a random order; returns the number of targets."""
        with warnings.catch_warnings():  # of its many checks
            warnings.simplefilter("ignore")
            if self.loader is None:
                self.model.fit(self.dataset)
                self.loader = self.model.data_preparator.get_dataloader_train()
            else:
                trainer: Any = self.model.fit_trainer
                trainer.fit_loop.max_epochs += 1
                trainer.fit(self.model.lightning_model, self.loader)
        return self.targets
