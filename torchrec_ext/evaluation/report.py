"""Report: figures and the protocol they were measured under."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchrec_ext.evaluation.user_values import UserValues


class Report(Mapping[str, float]):
    """Figures by name, with the words without which they mean nothing; prints as a table.

    Args:
        figures: name -> value.
        protocol: how they were measured.
        part: which part of the split.
        counts: of what was measured on, such as targets that no list can hold.
        card: data, split and what leaks as plain values, see :func:`~torchrec_ext.evaluation.protocol_card`.
        per_user: the values of each user, if they were asked for.

    Example:
        >>> report = Report({"auc": 0.75}, protocol="by ratio", part="test")
        >>> report["auc"], list(report)
        (0.75, ['auc'])
        >>> print(report)
        test (by ratio)
        auc  0.7500
    """

    def __init__(
        self,
        figures: Mapping[str, float],
        *,
        protocol: str,
        part: str,
        counts: Mapping[str, int] | None = None,
        card: Mapping[str, Any] | None = None,
        per_user: "UserValues | None" = None,
    ) -> None:
        self.figures = dict(figures)
        self.protocol = protocol
        self.part = part
        self.counts = dict(counts or {})
        self.card = dict(card or {})
        self.per_user = per_user

    def __getitem__(self, name: str) -> float:
        return self.figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __str__(self) -> str:
        width = max((len(name) for name in self.figures), default=0)
        lines = [
            f"{name.ljust(width)}  {value:,}"
            if isinstance(value, int)
            else f"{name.ljust(width)}  {value:.4f}"
            for name, value in self.figures.items()
        ]
        return "\n".join([f"{self.part} ({self.protocol})", *lines])

    def as_json(self, **more: object) -> dict[str, object]:
        """The figures, the protocol, the counts and ``more`` as JSON holds them; NaN is None."""
        figures = {name: None if math.isnan(value) else value for name, value in self.figures.items()}
        return {
            **figures, "protocol": self.protocol, "part": self.part, "counts": self.counts, **more
        }  # fmt: skip
