"""Progress of a training run: a progress bar, TensorBoard, the history and its curves."""

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pandas as pd
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from torchrec_ext.training.curves import draw_curves


class Progress:
    """Logs on rank 0 only. As a context manager it plots the curves on exit, also after an error.

    Args:
        run: folder of the run, or None to write nothing.
        first: whether this is rank 0.
        bar: whether to show a progress bar and one line per epoch.
        name: of the model, for the bar and the curves.
        history: rows of the earlier epochs of a resumed run.
    """

    def __init__(
        self, run: Path | None, first: bool, bar: bool, name: str, history: list[dict[str, Any]]
    ) -> None:
        self.run = run if first else None
        self.shows, self.name, self.history = first and bar, name, history
        self.writer = SummaryWriter(str(self.run / "tensorboard")) if self.run is not None else None
        self.bar: Any = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        with nullcontext() if error is None else suppress(OSError):  # that of a full disk was the first
            self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        if self.writer is not None:
            self.writer.close()
        if self.run is not None and self.history:  # on exit only, because plotting takes a second
            draw_curves(pd.DataFrame(self.history), self.run / "curves.png", title=self.name)

    def start_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        """Opens the bar of an epoch."""
        what = f"{self.name} epoch {epoch + 1}/{epochs}"
        self.bar = tqdm(
            total=steps,
            initial=done,
            desc=what,
            unit="step",
            disable=None if self.shows else True,
            leave=False,
        )

    def step(self, step: int, loss: float, rate: float) -> None:
        """Shows a step: its loss and the samples per second so far."""
        self.bar.update()
        self.bar.set_postfix(loss=f"{loss:.4f}", samples_per_s=f"{rate:,.0f}", refresh=False)
        if self.writer is not None and step % 10 == 0:
            self.writer.add_scalar("train/loss", loss, step)
            self.writer.add_scalar("train/samples_per_second", rate, step)

    def end_epoch(self, step: int, row: dict[str, Any]) -> None:
        """Writes the metrics of an epoch to the history, a line of text and TensorBoard."""
        self.bar.close()
        self.history.append(row)
        if self.writer is not None:
            for name, value in row.items():
                if isinstance(value, float):
                    self.writer.add_scalar(f"epoch/{name}", value, step)
            self.writer.flush()
        if self.shows:
            shown = "  ".join(_text(name, value) for name, value in row.items() if name.startswith(_SHOWN))
            tqdm.write(f"{self.name} epoch {row['epoch']}: {shown}")
        if self.run is not None:
            pd.DataFrame(self.history).to_csv(self.run / "history.csv", index=False)


_SHOWN = (
    "train", "samples", "seconds", "data", "valid_loss", "valid_auc", "valid_accuracy", "valid_hr",
    "valid_ndcg", "valid_group_auc",
)  # fmt: skip
"""Metrics on the line of an epoch; history.csv has all of them."""


def _text(name: str, value: Any) -> str:
    if name.endswith("_share"):
        return f"{name.removesuffix('_share')} {value:.1%}"
    return f"{name} {value:,.4f}" if isinstance(value, float) and abs(value) < 100 else f"{name} {value:,.0f}"
