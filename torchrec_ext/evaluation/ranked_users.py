"""RankedUsers: the ranks and lists of a full ranking, collected a chunk of users at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.evaluation.user_values import LISTED, UserValues, as_ids, user_values
from torchrec_ext.metrics import user_metrics


@dataclass
class RankedUsers:
    """Collects what :class:`~torchrec_ext.evaluation.user_values.UserValues` keeps of a retriever.

    Args:
        ks: list lengths of the metrics.
    """

    ks: Sequence[int]
    chunks: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(
        self,
        users: np.ndarray,
        items: Tensor,
        offsets: Tensor,
        ranks: Tensor,
        top_Bk: Tensor,
        *,
        by_model: bool,
    ) -> None:
        """Collects more users.

        Args:
            users: (B,) users of the log.
            items: (N,) item rows of their targets.
            offsets: (B + 1,) where each user's targets begin.
            ranks: (N,) their ranks.
            top_Bk: (B, k) item rows of the lists, padded with -1.
            by_model: whether the model made the lists, rather than popularity.
        """
        lists = top_Bk[:, :LISTED].numpy()
        chunk = {
            "users": users,
            "items": items.numpy(),
            "targets": offsets.diff().numpy(),
            "ranks": ranks.numpy(),
            "listed": lists[lists >= 0],
            "list": (lists >= 0).sum(1),
            "by_model": np.full(len(users), by_model),
        }
        for name, values in chunk.items():
            self.chunks.setdefault(name, []).append(values)

    def values(
        self, known: EventLog, targets: Dataset, preparation: Preparation, ranked: np.ndarray
    ) -> UserValues:
        """The values of all users, in the order in which they were added; ``ranked`` are the item rows."""
        found = {name: np.concatenate(chunks) for name, chunks in self.chunks.items()}
        offsets = offsets_of(found["targets"])
        metrics = user_metrics(torch.from_numpy(found["ranks"]), torch.from_numpy(offsets), self.ks)
        columns: dict[str, Any] = {
            "targets": pa.LargeListArray.from_arrays(offsets, as_ids(found["items"], preparation)),
            "ranks": pa.LargeListArray.from_arrays(offsets, pa.array(found["ranks"])),
            **{name: values.numpy() for name, values in metrics.items()},
            "list": pa.LargeListArray.from_arrays(
                offsets_of(found["list"]), as_ids(found["listed"], preparation)
            ),
            "answered_by": pa.array(np.where(found["by_model"], "model", "popular").tolist()),
        }
        return user_values(columns, found["users"], known, targets, preparation, ranked)
