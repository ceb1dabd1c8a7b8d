"""RowTable: the rows of an embedding table in the precision that a bundle keeps them in."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_one_of

Precision = Literal["float32", "float16", "bfloat16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)


class RowTable(nn.Module):
    """R vectors in some precision, which a lookup returns as float32.

    In int8 each row has its own scale, a bfloat16: 2 bytes beside the D of the row.

    Args:
        weight: ``(R, D)`` vectors: floats, or int8 codes.
        scale: ``(R, 1)`` bfloat16 scale of each row of codes; None for floats.

    Example:
        >>> table = RowTable.of(torch.tensor([[0.0, 0.0], [127.0, -64.0]]), "int8")
        >>> table.weight.tolist(), table(torch.tensor([1])).tolist()
        ([[0, 0], [127, -64]], [[127.0, -64.0]])
    """

    weight: Tensor
    scale: Tensor | None

    def __init__(self, weight: Tensor, scale: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)

    @classmethod
    def of(cls, weight_RD: Tensor, precision: Precision) -> "RowTable":
        """The table of ``(R, D)`` float32 vectors in a precision."""
        expect_one_of("precision", precision, PRECISIONS)
        if precision != "int8":
            return cls(weight_RD.to(getattr(torch, precision)).contiguous())
        scale_R1 = (weight_RD.abs().amax(1, keepdim=True) / 127).to(torch.bfloat16)
        codes_RD = (weight_RD / scale_R1.float()).nan_to_num(0, 0, 0)  # rows of zeros have the scale 0
        return cls(codes_RD.round().clamp(-127, 127).to(torch.int8), scale_R1)

    @property
    def bytes(self) -> int:
        """Size of the vectors in bytes."""
        parts = (self.weight,) if self.scale is None else (self.weight, self.scale)
        return sum(part.nbytes for part in parts)

    def forward(self, rows_N: Tensor) -> Tensor:
        """``(N,)`` int64 rows to their ``(N, D)`` float32 vectors."""
        vectors_ND = self.weight[rows_N].float()
        return vectors_ND if self.scale is None else vectors_ND * self.scale[rows_N].float()
