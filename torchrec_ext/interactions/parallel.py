"""Several interactions of the same fields."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchrec_ext import plugins
from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError
from torchrec_ext.interactions._parts import names_of


class Parallel(Interaction):
    """Several interactions of the same field vectors, with their outputs concatenated.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        parts: the interactions: names, with their default arguments; classes, or functions of ``num_fields``
            and ``dim``; or instances built with the same two sizes.

    Raises:
        InputError: for a part that is not an interaction, or was built with other sizes.

    Example:
        >>> Parallel(num_fields=3, dim=8, parts=("dot", "concat")).out_dim  # 3 products, 3 * 8 components
        27
        >>> from torchrec_ext.interactions import DotInteraction, MLPInteraction
        >>> deep = MLPInteraction(num_fields=3, dim=8, hidden=(16, 4))
        >>> Parallel.of(DotInteraction(num_fields=3, dim=8), deep)(torch.rand(2, 3, 8)).shape
        torch.Size([2, 7])
    """

    def __init__(
        self,
        num_fields: int,
        dim: int,
        parts: tuple[str | type[Interaction] | Interaction | Callable[..., nn.Module], ...] = (
            "dot",
            "concat",
        ),
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim)
        self.num_fields = num_fields
        self.dim = dim
        self._names = names_of(parts)
        made = [plugins.make("interactions", part, num_fields=num_fields, dim=dim) for part in parts]
        self.interactions = nn.ModuleList(made)
        self.out_dim = sum(part.out_dim for part in made)
        # Vectors of one width, next to each other, are field vectors too.
        widths = {part.out_dim / part.out_fields for part in made}
        self.out_fields = sum(part.out_fields for part in made) if len(widths) == 1 else 1

    @classmethod
    def of(cls, *parts: Interaction) -> "Parallel":
        """Combines instances, whose sizes are read from their attributes.

        Raises:
            InputError: without an instance, or if ``num_fields`` or ``dim`` are missing or differ.
        """
        if not parts:
            raise InputError("Parallel.of() needs at least one interaction")
        sizes: dict[str, Any] = {}
        for size in ("num_fields", "dim"):
            sizes[size] = getattr(parts[0], size, None)
            if not isinstance(sizes[size], int):
                raise InputError(
                    f"{type(parts[0]).__name__} has no {size}; keep it as an attribute, "
                    f"or build Parallel(num_fields, dim, parts)"
                )
        return cls(**sizes, parts=parts)

    @property
    def parts(self) -> tuple[str | nn.Module, ...]:
        """The interactions: names that were given, and instances."""
        return tuple(
            module if name is None else name
            for name, module in zip(self._names, self.interactions, strict=True)
        )

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, out_dim)``, the first part's output first."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        return torch.cat([part(fields_BFD) for part in self.interactions], dim=1)
