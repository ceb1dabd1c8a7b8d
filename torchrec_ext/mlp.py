"""MLP: fully connected layers, each with ReLU."""

from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers, each followed by ReLU, such as an over arch.

    Its weights have the names of those of ``torchrec.modules.mlp.MLP``, in whose place it stands where
    TorchRec is not installed, so that checkpoints of both fit.

    Args:
        in_dim: width of the input.
        hidden: widths of the layers.

    Example:
        >>> import torch
        >>> MLP(8, (16, 4))(torch.rand(2, 8)).shape
        torch.Size([2, 4])
    """

    def __init__(self, in_dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        widths = zip((in_dim, *hidden), hidden, strict=False)
        self._mlp = nn.Sequential(*(_Layer(width, out) for width, out in widths))

    def forward(self, vectors: Tensor) -> Tensor:
        """``(B, in_dim)`` to ``(B, hidden[-1])``."""
        return self._mlp(vectors)


class _Layer(nn.Module):
    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self._linear = nn.Linear(in_dim, out_dim)

    def forward(self, vectors: Tensor) -> Tensor:
        return self._linear(vectors).relu()
