"""Builders of batches that loop over examples, the simple way to write them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from torchrec_ext.data.event_log import EventLog


@dataclass(frozen=True)
class Padded:
    """A batch of B examples, their histories padded with zeros to T events.

    Args:
        items_BT: int64 rows of the history's items, oldest first.
        times_BT: float64 times.
        lengths_B: int64 events of each history.
        context_BF: int64 rows of the F context features.
        targets_B: int64 row of each target.
    """

    items_BT: Tensor
    times_BT: Tensor
    lengths_B: Tensor
    context_BF: Tensor
    targets_B: Tensor


class Lists:
    """Slices Python lists, pads them and converts them to tensors.

    Args:
        log: the events; each is an example with its user's earlier events.
        length: number of newest events of a history.

    Example:
        >>> import pandas as pd
        >>> columns = [("items", np.array([7, 8, 9]))]
        >>> log = EventLog.sort(pd.Index([1]), np.array([1]), np.array([3]), np.arange(3), columns)
        >>> Lists(log, length=5)(np.array([2, 0])).items_BT
        tensor([[7, 8],
                [0, 0]])
    """

    def __init__(self, log: EventLog, length: int) -> None:
        self.length = length
        self.items = log.items.tolist()
        self.times = [0.0] * len(log) if log.times is None else log.times.tolist()
        self.context = list(
            zip(*(np.asarray(column).tolist() for column in log.context.values()), strict=True)
        )
        self.first = log.offsets[log.users].tolist()

    def __call__(self, chosen: np.ndarray) -> Padded:
        """The batch of these events."""
        items, times, lengths, context, targets = [], [], [], [], []
        for event in chosen.tolist():
            start = max(self.first[event], event - self.length)
            items.append(self.items[start:event])
            times.append(self.times[start:event])
            lengths.append(event - start)
            context.append(self.context[event] if self.context else ())
            targets.append(self.items[event])
        longest = max(lengths)
        for history, clock in zip(items, times, strict=True):
            missing = longest - len(history)
            history += [0] * missing
            clock += [0.0] * missing
        return Padded(
            torch.tensor(items, dtype=torch.int64),
            torch.tensor(times, dtype=torch.float64),
            torch.tensor(lengths),
            torch.tensor(context),
            torch.tensor(targets),
        )


class Rows(TorchDataset):
    """A map-style data set for torch's ``DataLoader``: an example is tensors cut from the log's columns.

    Args:
        log: the events; each is an example.
        length: number of newest events of a history, and the length it is padded to.
    """

    def __init__(self, log: EventLog, length: int) -> None:
        self.length = length
        self.items = torch.from_numpy(np.asarray(log.items, np.int64))
        self.times = torch.zeros(len(log)) if log.times is None else torch.from_numpy(np.asarray(log.times))
        self.context = torch.from_numpy(np.stack([np.asarray(c, np.int64) for c in log.context.values()], 1))
        self.first = log.offsets[log.users].tolist()

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.items)

    def __getitem__(self, event: int) -> tuple[Tensor, Tensor, int, Tensor, Tensor]:
        """History, its times, its length, context and target of an example."""
        start = max(self.first[event], event - self.length)
        items, times = torch.zeros(self.length, dtype=torch.int64), torch.zeros(self.length).double()
        items[: event - start] = self.items[start:event]
        times[: event - start] = self.times[start:event]
        return items, times, event - start, self.context[event], self.items[event]
