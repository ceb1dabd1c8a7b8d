"""TargetCounts: targets that no list can hold."""

import warnings
from dataclasses import asdict, dataclass

from torch import Tensor

_MANY = 0.05
"""The share from which on the protocol decides more than the model."""


@dataclass
class TargetCounts:
    """How many targets there are, and how many of them no list can hold.

    Args:
        targets: distinct pairs of a user and an item to predict.
        seen: those that are left out because the user has an event with the item already.
        outside: those whose item is not in the catalogue.

    Example:
        >>> import torch
        >>> counts = TargetCounts()
        >>> counts.add(torch.tensor([7, 0, 0, 2]), in_catalogue=torch.tensor([True, True, False, True]))
        >>> counts.in_words()
        'of 4 targets 1 (25.0%) known to the user and left out and 1 (25.0%) not in the catalogue'
    """

    targets: int = 0
    seen: int = 0
    outside: int = 0

    def add(self, ranks: Tensor, in_catalogue: Tensor) -> None:
        """Counts more targets.

        Args:
            ranks: (N,) ranks, 0 for a target that is in no list.
            in_catalogue: (N,) bool.
        """
        self.targets += len(ranks)
        self.outside += int((~in_catalogue).sum())
        self.seen += int((in_catalogue & (ranks == 0)).sum())

    def in_words(self) -> str:
        """The targets that cannot be hit, for the protocol; empty where there are none."""
        kinds = ((self.seen, "known to the user and left out"), (self.outside, "not in the catalogue"))
        words = [f"{n:,} ({n / self.targets:.1%}) {what}" for n, what in kinds if n]
        return f"of {self.targets:,} targets {' and '.join(words)}" if words else ""

    def warn(self) -> None:
        """Warns where more than a twentieth of the targets is left out as seen."""
        if self.seen > _MANY * self.targets:
            warnings.warn(
                f"{self.seen / self.targets:.1%} of the targets are items that their user knows already, "
                "which the lists leave out; where items are taken again and again, evaluate with "
                "exclude_seen=False (--repeats of the recipes)",
                stacklevel=2,
            )

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)
