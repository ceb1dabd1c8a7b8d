"""TiedScores: how much of the figures the order of items with the same score decides."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

_MANY = 0.05


@dataclass
class TiedScores:
    """Counts users whose targets share their score with other items, which ids alone put in order.

    The lower row goes first, that of the item that came first into the vocabulary, which favours popular
    items.

    Args:
        k: the longest list that is measured.
        users: users with a target.
        tied: those of whom a target could stand in the first k places and shares its score.
        undecided: those of whom the order of ties decides whether the first k places hold a target.

    Example:
        >>> ties = TiedScores(k=2)
        >>> ties.add(torch.tensor([[1, 1], [2, 9], [4, 5]]), torch.tensor([0, 1, 2, 3]))
        >>> ties.tied, ties.undecided, ties.in_words()
        (1, 1, '1 users (33.3%) have a target that ties with others in the first 2 places')
    """

    k: int
    users: int = 0
    tied: int = 0
    undecided: int = 0

    def add(self, spans_N2: Tensor, offsets: Tensor) -> None:
        """Counts more users.

        Args:
            spans_N2: (N, 2) first and last rank of the items with a target's score; 0 for one in no list.
            offsets: (B + 1,) where each user's targets begin.
        """
        first, last = spans_N2.unbind(1)
        could, does = (first > 0) & (first <= self.k), (last > 0) & (last <= self.k)

        owners = torch.arange(len(offsets) - 1).repeat_interleave(offsets.diff())

        def users_with(targets: Tensor) -> Tensor:
            return torch.bincount(owners[targets], minlength=len(offsets) - 1) > 0

        self.users += int((offsets.diff() > 0).sum())
        self.tied += int(users_with(could & (last > first)).sum())
        self.undecided += int((users_with(could) & ~users_with(does)).sum())

    def in_words(self) -> str:
        """The ties, for the protocol; empty where there are none."""
        if not self.tied:
            return ""
        share = f"{self.tied:,} users ({self.tied / self.users:.1%})"
        return f"{share} have a target that ties with others in the first {self.k} places"

    def warn(self) -> None:
        """Warns where more than a twentieth of the users is concerned."""
        if self.tied > _MANY * self.users:
            decided = f"{self.undecided / self.users:.1%} of the users"
            warnings.warn(
                f"{self.in_words()}: items with the same score stand in the order of their first appearance, "
                f"which favours popular ones and decides hr@{self.k} for {decided}; train longer, or give "
                "the model something that tells these items apart",
                stacklevel=2,
            )
