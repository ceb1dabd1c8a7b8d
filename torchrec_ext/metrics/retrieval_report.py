"""The metrics of top-N lists, in one pass over the users."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from torchrec_ext.errors import InputError
from torchrec_ext.metrics.ranked_targets import BY_K, user_metrics

_NEVER = torch.iinfo(torch.int32).max


class RetrievalReport(Metric):
    """HR, recall, precision, NDCG, MAP, MRR and coverage at several list lengths, from ranks.

    A user has m >= 1 distinct targets. The rank of a target is its position, from 1, in the ranking of all
    items that may be recommended to the user, including the user's other targets. h(k) is the number of
    targets with a rank <= k. Then, for a user:

    - ``hr@k`` is 1 if h(k) > 0, else 0;
    - ``recall@k`` is h(k) / m, and ``precision@k`` is h(k) / k, also where k exceeds m;
    - ``ndcg@k`` is the sum of 1 / log2(rank + 1) over the targets of rank <= k, divided by the same sum
      for the ranks 1 to min(m, k);
    - ``map@k`` is the sum, over the targets of rank <= k, of h(rank) / rank, divided by min(m, k);
    - ``mrr@k`` is 1 / rank of the best target if that is <= k, else 0; ``mrr`` is the same without a limit.

    Every metric is the mean over the users with a target, and ``users`` is their number. Also:

    - ``coverage@k`` is the share of the catalogue that appears in the first k places of at least one list.

    Memory does not grow with the number of users: a few sums, and 4 bytes for each item. Add each user once,
    on one rank; ``compute`` aggregates over all ranks.

    Args:
        ks: list lengths.
        catalogue: number of items that may be recommended; ids are from 0 to ``catalogue``, because the rows
            of a vocabulary start at 1.
        settings: arguments of ``torchmetrics.Metric``, such as ``sync_on_compute``.

    Raises:
        InputError: without a list length, or for one below 1 or above the catalogue.

    Example:
        >>> report = RetrievalReport(ks=(2,), catalogue=4)
        >>> report.update(torch.tensor([1, 4]), torch.tensor([0, 1, 2]), torch.tensor([[3, 1], [3, 2]]))
        >>> report.compute()["hr@2"], report.compute()["mrr"], report.compute()["coverage@2"]
        (0.5, 0.625, 0.75)
    """

    full_state_update = False

    # The states that add_state creates.
    sums: Tensor
    reciprocal_ranks: Tensor
    users: Tensor
    best_places: Tensor

    def __init__(self, ks: Sequence[int] = (10, 50), *, catalogue: int, **settings: Any) -> None:
        super().__init__(**settings)
        if not ks:
            raise InputError("ks is empty; give at least one list length")
        for k in ks:
            if not 1 <= k <= catalogue:
                raise InputError(
                    f"k is {k}, but the catalogue has {catalogue} items; choose k from 1 to {catalogue}"
                )
        self.ks = tuple(sorted(set(ks)))
        self.catalogue = catalogue
        zeros = torch.zeros(len(BY_K), len(self.ks), dtype=torch.float64)
        self.add_state("sums", zeros, dist_reduce_fx="sum")
        self.add_state("reciprocal_ranks", zeros.new_zeros(()), dist_reduce_fx="sum")
        self.add_state("users", torch.tensor(0), dist_reduce_fx="sum")
        # The best place of each item over all lists gives the coverage at every k.
        never = torch.full((catalogue + 1,), _NEVER, dtype=torch.int32)
        self.add_state("best_places", never, dist_reduce_fx="min")

    def update(self, ranks: Tensor, offsets: Tensor, top_ids_Bk: Tensor) -> None:
        """Adds users.

        Args:
            ranks: (N,) integer or float ranks of the targets, grouped by user; 0 or inf for a target that
                cannot be recommended, which still counts in m.
            offsets: (B + 1,) int64 index in ``ranks`` of each user's first target; the last one is N.
            top_ids_Bk: (B, k) int64 lists, best first, padded with -1; k is at least the largest of ``ks``.

        Raises:
            InputError: if the shapes do not match, or for two targets of a user with the same rank.
        """
        ids = self._checked_lists(top_ids_Bk, len(offsets) - 1)
        self._add_ranks(ranks, offsets)
        places = torch.arange(1, ids.shape[1] + 1, dtype=torch.int32, device=ids.device).expand_as(ids)
        there = ids >= 0
        self.best_places.scatter_reduce_(0, ids[there], places[there], "amin")

    def _add_ranks(self, ranks: Tensor, offsets: Tensor) -> None:
        found = user_metrics(ranks, offsets, self.ks)
        self.users += (offsets.diff() > 0).sum()
        self.reciprocal_ranks += found["mrr"].sum()
        for column, k in enumerate(self.ks):
            self.sums[:, column] += torch.stack([found[f"{name}@{k}"].sum() for name in BY_K])

    def _checked_lists(self, top_ids_Bk: Tensor, lists: int) -> Tensor:
        longest = self.ks[-1]
        if top_ids_Bk.dim() != 2 or len(top_ids_Bk) != lists or top_ids_Bk.shape[1] < longest:
            raise InputError(
                f"top_ids should be {lists} lists of at least {longest}, received {tuple(top_ids_Bk.shape)}"
            )
        ids = top_ids_Bk[:, :longest]
        if ids.numel() and (ids.max() > self.catalogue or ids.min() < -1):
            raise InputError(
                f"top_ids should lie from 0 to {self.catalogue}, the size of the catalogue, or be -1; "
                f"received {int(ids.min())} to {int(ids.max())}"
            )
        return ids

    def compute(self) -> dict[str, float]:
        """The metrics over all ranks, by name; NaN without a user."""
        users = int(self.users)
        report: dict[str, float] = {}
        for column, k in enumerate(self.ks):
            for name, total in zip(BY_K, self.sums[:, column].tolist(), strict=True):
                report[f"{name}@{k}"] = total / users if users else math.nan
            report[f"coverage@{k}"] = int((self.best_places <= k).sum()) / self.catalogue
        report["mrr"] = float(self.reciprocal_ranks) / users if users else math.nan
        report["users"] = users
        return report
