"""Interactions one after the other."""

from collections.abc import Callable

from torch import Tensor, nn

from torchrec_ext import plugins
from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError
from torchrec_ext.interactions._parts import names_of


class Stacked(Interaction):
    """Interactions in layers: each one reads the output of the one before it as field vectors.

    An interaction declares by ``out_fields`` how many vectors of the same width its output holds. Those that
    give several can precede any interaction: ``autoint``, ``ccpm``, ``concat``, ``convolution``,
    ``cross_network``, ``fgcnn``, ``fibinet``, ``gated_cross_network``, ``masknet`` with parallel blocks, and
    ``wukong``. The others give one vector. They can precede interactions that accept a single field, such as
    ``mlp`` and ``cross_network``, but not those that need pairs of fields, such as ``dot``.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        parts: the interactions, the one that reads the fields first: names, with their default arguments;
            classes, or functions of ``num_fields`` and ``dim``; or instances built for the fields before
            them.

    Raises:
        InputError: for a part that is not an interaction, or cannot read the output of the one before it.

    Example:
        >>> import torch
        >>> Stacked(num_fields=4, dim=8, parts=("fgcnn", "dot")).out_dim  # products of 4 + 9 vectors
        78
        >>> from functools import partial
        >>> from torchrec_ext.interactions import MLPInteraction
        >>> neural = Stacked(4, 8, ("bi_interaction", partial(MLPInteraction, hidden=(16, 4))))
        >>> neural(torch.rand(2, 4, 8)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        num_fields: int,
        dim: int,
        parts: tuple[str | type[Interaction] | Interaction | Callable[..., nn.Module], ...] = (
            "cross_network",
            "mlp",
        ),
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim)
        self.num_fields = num_fields
        self.dim = dim
        self._names = names_of(parts)
        made: list[Interaction] = []
        for part in parts:
            fields, width = _read_by_the_next(made[-1]) if made else (num_fields, dim)
            try:
                made.append(plugins.make("interactions", part, num_fields=fields, dim=width))
            except InputError as error:
                if not made:
                    raise
                raise InputError(
                    f"parts[{len(made)}] reads the output of {type(made[-1]).__name__}, {fields} field "
                    f"vector(s) of width {width}: {error}"
                ) from error
        self.interactions = nn.ModuleList(made)
        self.out_fields = made[-1].out_fields
        self.out_dim = made[-1].out_dim

    @property
    def parts(self) -> tuple[str | nn.Module, ...]:
        """The interactions: names that were given, and instances."""
        return tuple(
            module if name is None else name
            for name, module in zip(self._names, self.interactions, strict=True)
        )

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to the last part's ``(B, out_dim)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        first, *others = self.interactions
        output, before = first(fields_BFD), first
        for part in others:
            output, before = part(output.unflatten(1, _read_by_the_next(before))), part
        return output


def _read_by_the_next(part: nn.Module) -> tuple[int, int]:
    """Number and width of the field vectors that the output of an interaction holds."""
    assert isinstance(part, Interaction)
    return part.out_fields, part.out_dim // part.out_fields
