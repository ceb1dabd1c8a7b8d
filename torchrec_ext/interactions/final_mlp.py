"""Two MLPs over differently gated fields, joined by a bilinear product."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError
from torchrec_ext.mlp import MLP


class FinalMLP(Interaction):
    """Two MLPs, each over fields that a gate weighs, and the bilinear product of their outputs as the logit.

    From "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction" (Mao et al. 2023). A stream reads
    ``2 * sigmoid(g) * e``, where e are the concatenated field vectors and g is an MLP of some of the fields,
    such as the user in one stream and the item in the other, or of a learnt vector. With the streams' outputs
    cut into k heads, the logit is ``b + w1 o1 + w2 o2 + sum_h o1_h W_h o2_h``.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        first: widths of the layers of the first stream's MLP.
        second: widths of the layers of the second stream's MLP.
        heads: k, which divides the last width of both streams.
        gate_hidden: width of the hidden layer of a gate.
        first_gate: positions of the fields that the first stream's gate reads, from 0; () learns a vector.
        second_gate: the same for the second stream.

    Example:
        >>> logits = FinalMLP(num_fields=3, dim=8, first_gate=(0,), second_gate=(1, 2))
        >>> logits(torch.rand(2, 3, 8)).shape
        torch.Size([2, 1])
    """

    def __init__(
        self,
        num_fields: int,
        dim: int,
        first: tuple[int, ...] = (64, 32),
        second: tuple[int, ...] = (64, 32),
        heads: int = 2,
        gate_hidden: int = 64,
        first_gate: tuple[int, ...] = (),
        second_gate: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim, heads=heads, gate_hidden=gate_hidden)
        for name, widths in (("first", first), ("second", second)):
            if not widths:
                raise InputError(f"{name} should hold the width of at least one layer, received ()")
            expect_at_least(1, **{name: min(widths)})
            if widths[-1] % heads:
                raise InputError(
                    f"heads should divide the last width of {name}, {widths[-1]}, received {heads}"
                )
        for name, positions in (("first_gate", first_gate), ("second_gate", second_gate)):
            if not all(0 <= position < num_fields for position in positions):
                raise InputError(
                    f"{name} should hold positions from 0 to {num_fields - 1}, received {positions}"
                )
        self.num_fields = num_fields
        self.dim = dim
        self.first = tuple(first)
        self.second = tuple(second)
        self.heads = heads
        self.gate_hidden = gate_hidden
        self.first_gate = tuple(first_gate)
        self.second_gate = tuple(second_gate)
        self.out_dim = 1
        self.gates = nn.ModuleList(
            _Gate(num_fields, dim, gate_hidden, positions) for positions in (first_gate, second_gate)
        )
        self.streams = nn.ModuleList(MLP(num_fields * dim, widths) for widths in (first, second))
        self.linear = nn.Linear(first[-1] + second[-1], 1)
        rows, columns = first[-1] // heads, second[-1] // heads
        bound = rows**-0.5
        self.products = nn.Parameter(torch.empty(heads, rows, columns).uniform_(-bound, bound))

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, 1)`` logits."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        first, second = (
            stream(2 * gate(fields_BFD).sigmoid() * fields_BFD.flatten(1))
            for stream, gate in zip(self.streams, self.gates, strict=True)
        )
        by_head = torch.einsum("bki,kij->bkj", first.unflatten(1, (self.heads, -1)), self.products)
        fused_B1 = (by_head.flatten(1) * second).sum(1, keepdim=True)
        return self.linear(torch.cat([first, second], dim=1)) + fused_B1


class _Gate(nn.Module):
    """An MLP of the chosen fields, or of a learnt vector, to a value for each component of all fields."""

    def __init__(self, num_fields: int, dim: int, hidden: int, positions: tuple[int, ...]) -> None:
        super().__init__()
        self.positions = tuple(positions)
        self.learnt = None if positions else nn.Parameter(torch.randn(1, dim))
        self.hidden = nn.Linear(max(1, len(positions)) * dim, hidden)
        self.out = nn.Linear(hidden, num_fields * dim)

    def forward(self, fields_BFD: Tensor) -> Tensor:
        if self.learnt is not None:
            return self.out(self.hidden(self.learnt).relu())
        chosen = torch.cat([fields_BFD[:, position] for position in self.positions], dim=1)
        return self.out(self.hidden(chosen).relu())
