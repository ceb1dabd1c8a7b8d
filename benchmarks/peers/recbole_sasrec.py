"""SASRec of RecBole, through its own data loader and trainer."""

import contextlib
import itertools
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

OLD_NAMES = {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}
"""Names that RecBole 1.2.1 reads and NumPy 2 does not have."""


class RecBoleSASRec:
    """Each window is a user; RecBole learns each event of one from a padded sequence of those before it.

    An epoch of it is a part of one, because a whole one takes many times as long as those of the others. A
    step has about as many targets as theirs.

    Args:
        windows: item rows of each, of which the next one is predicted.
        batch: sequences of a step, each of which has one target.
        length: the most events of a sequence.
        encoder: our SASRec, whose sizes it takes.
        steps: of an epoch.
    """

    def __init__(self, windows: list[Tensor], batch: int, length: int, encoder: Any, steps: int) -> None:
        self.batch, self.steps = batch, steps
        with (
            tempfile.TemporaryDirectory() as folder, _inside(folder), warnings.catch_warnings(),
            mock.patch("sys.argv", sys.argv[:1]),  # which it reads
        ):  # fmt: skip
            warnings.simplefilter("ignore")
            from recbole.config import Config
            from recbole.data import create_dataset
            from recbole.data.dataloader import TrainDataLoader
            from recbole.model.sequential_recommender.sasrec import SASRec
            from recbole.trainer import Trainer

            for name, kind in OLD_NAMES.items():
                vars(np).setdefault(name, kind)
            # Importing any of its models enables this for the whole process, which slows down torch.
            torch.autograd.set_detect_anomaly(False)
            _write(windows, Path(folder))
            config = Config(
                "SASRec",
                "windows",
                config_dict={
                    "data_path": folder, "use_gpu": False, "worker": 0, "show_progress": False,
                    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
                    "MAX_ITEM_LIST_LENGTH": length, "loss_type": "CE", "train_neg_sample_args": None,
                    "train_batch_size": batch, "learning_rate": 1e-3,
                    "eval_args": {"split": {"RS": [1, 0, 0]}, "group_by": "user", "order": "TO"},
                    "n_layers": encoder.layers, "n_heads": encoder.heads, "hidden_size": encoder.dim,
                    "inner_size": encoder.hidden, "hidden_act": "relu",
                    "hidden_dropout_prob": encoder.dropout, "attn_dropout_prob": encoder.dropout,
                },
            )  # fmt: skip
            logging.getLogger("recbole").setLevel(logging.ERROR)
            train = create_dataset(config).build()[0]
            self.loader = TrainDataLoader(config, train, None, shuffle=True)
            self.trainer = Trainer(config, SASRec(config, train))

    def epoch(self) -> int:
        """Learns the first steps of an epoch, in a random order; returns the number of targets."""
        steps = min(self.steps, len(self.loader.dataset) // self.batch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that torch.cuda.amp is deprecated
            self.trainer._train_epoch(itertools.islice(self.loader, steps), 0)
        return steps * self.batch


def _write(windows: list[Tensor], folder: Path) -> None:
    """Writes RecBole's atomic file of events."""
    place = folder / "windows"
    place.mkdir()
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user, window in enumerate(windows):
        lines += [f"{user}\t{item}\t{time}" for time, item in enumerate(window.tolist())]
    (place / "windows.inter").write_text("\n".join(lines) + "\n")


@contextlib.contextmanager
def _inside(folder: str) -> Any:
    """Works in a folder, since RecBole writes logs and checkpoints where it runs."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
