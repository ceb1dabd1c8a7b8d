"""The fields of a KeyedTensor as one tensor, for an interaction."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchrec.sparse.jagged_tensor import KeyedTensor

from torchrec_ext.checks import expect_at_least
from torchrec_ext.errors import InputError

# torch.fx patches a wrapped function in the module that defines it, not where a user imports it to:
# each public function here only calls the wrapped one.


def stack_fields(keyed_tensor: KeyedTensor, keys: Sequence[str]) -> Tensor:
    """The vectors of fields of one width, stacked; what an interaction takes.

    It may be called in a model that TorchRec's train pipeline traces.

    Args:
        keyed_tensor: what an EmbeddingBagCollection, sharded or not, gives.
        keys: fields to stack, in this order.

    Returns:
        ``(B, F, D)`` float field vectors.

    Raises:
        InputError: if a key is missing or the widths differ.

    Example:
        >>> values = torch.arange(4.0).view(1, 4)
        >>> pooled = KeyedTensor(keys=["user", "item"], length_per_key=[2, 2], values=values)
        >>> stack_fields(pooled, ["item", "user"])
        tensor([[[2., 3.],
                 [0., 1.]]])
    """
    return _stack_fields(keyed_tensor, keys)


class FieldProjection(nn.Module):
    """The vectors of fields of several widths, projected to one width and stacked.

    A field that has this width is passed on unchanged; each other one goes through a linear layer
    without bias.

    Args:
        widths: width of each field to stack, in this order.
        dim: D, the width to project to.

    Example:
        >>> pooled = KeyedTensor(keys=["user", "item"], length_per_key=[2, 4], values=torch.rand(8, 6))
        >>> FieldProjection({"user": 2, "item": 4}, dim=4)(pooled).shape
        torch.Size([8, 2, 4])
    """

    def __init__(self, widths: dict[str, int], dim: int) -> None:
        super().__init__()
        expect_at_least(1, dim=dim, **widths)
        self.widths = dict(widths)
        self.dim = dim
        self.projections = nn.ModuleList(
            nn.Identity() if width == dim else nn.Linear(width, dim, bias=False) for width in widths.values()
        )

    def forward(self, keyed_tensor: KeyedTensor) -> Tensor:
        """The KeyedTensor of an EmbeddingBagCollection to ``(B, F, D)`` float field vectors."""
        parts = _split_fields(keyed_tensor, self.widths)
        return torch.stack([project(parts[i]) for i, project in enumerate(self.projections)], dim=1)


@torch.fx.wrap
def _stack_fields(keyed_tensor: KeyedTensor, keys: Sequence[str]) -> Tensor:
    widths = _widths(keyed_tensor, keys)
    if len(set(widths.values())) != 1:
        raise InputError(
            f"keys should be fields of one width, received {widths}; "
            f"project them with FieldProjection({widths}, dim)"
        )
    return _side_by_side(keyed_tensor, keys).unflatten(1, (len(keys), -1))


@torch.fx.wrap
def _split_fields(keyed_tensor: KeyedTensor, widths: dict[str, int]) -> Sequence[Tensor]:
    received = _widths(keyed_tensor, list(widths))
    if received != widths:
        raise InputError(f"widths should be {dict(widths)}, received {received}")
    return _side_by_side(keyed_tensor, list(widths)).split(list(widths.values()), dim=1)


def _widths(keyed_tensor: KeyedTensor, keys: Sequence[str]) -> dict[str, int]:
    there = dict(zip(keyed_tensor.keys(), keyed_tensor.length_per_key(), strict=True))
    for key in keys:
        if key not in there:
            raise InputError(f"no field {key!r} in the KeyedTensor; it has {', '.join(there)}")
    return {key: there[key] for key in keys}


def _side_by_side(keyed_tensor: KeyedTensor, keys: Sequence[str]) -> Tensor:
    if list(keys) == keyed_tensor.keys():
        return keyed_tensor.values()
    return KeyedTensor.regroup([keyed_tensor], [list(keys)])[0]
