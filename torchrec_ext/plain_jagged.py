"""Jagged tensors of plain torch, for batches and lookups where TorchRec is not installed."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad


class PlainJaggedTensor:
    """Flat values of B examples and their lengths, as ``torchrec.JaggedTensor`` holds them.

    Args:
        values: ``(N, ...)`` values of all examples.
        lengths: ``(B,)`` int64 number of values of each.
        offsets: ``(B + 1,)`` int64 bounds of each; computed if they are asked for and absent.
    """

    def __init__(self, values: Tensor, lengths: Tensor, offsets: Tensor | None = None) -> None:
        self._values, self._lengths, self._offsets = values, lengths, offsets

    def values(self) -> Tensor:
        """The values of all examples, one after the other."""
        return self._values

    def lengths(self) -> Tensor:
        """How many values each example has."""
        return self._lengths

    def offsets(self) -> Tensor:
        """Where the values of each example begin, and where the last end."""
        if self._offsets is None:
            self._offsets = pad(self._lengths.cumsum(0), (1, 0))
        return self._offsets

    def offsets_or_none(self) -> Tensor | None:
        """The offsets, if they are known."""
        return self._offsets


class PlainKeyedJaggedTensor:
    """The ids of B examples under several keys, as ``torchrec.KeyedJaggedTensor`` holds them.

    Args:
        keys: names of features.
        values: flat int64 ids, those of one key after those of another.
        lengths: ``(len(keys) * B,)`` int64 number of ids, likewise.
        stride: B.

    Example:
        >>> ids = PlainKeyedJaggedTensor(["user", "tags"], torch.tensor([7, 1, 2]), torch.tensor([1, 2]), 1)
        >>> ids.to_dict()["tags"].values()
        tensor([1, 2])
    """

    def __init__(self, keys: Sequence[str], values: Tensor, lengths: Tensor, stride: int) -> None:
        self._keys, self._values, self._lengths, self._stride = list(keys), values, lengths, stride

    def to_dict(self) -> dict[str, PlainJaggedTensor]:
        """The ids of each key."""
        lengths = self._lengths.view(len(self._keys), self._stride)
        values = self._values.split(lengths.sum(1).tolist())
        return {k: PlainJaggedTensor(v, n) for k, v, n in zip(self._keys, values, lengths, strict=True)}

    def to(self, device: torch.device, non_blocking: bool = False) -> "PlainKeyedJaggedTensor":
        """The same on another device."""
        values, lengths = (t.to(device, non_blocking=non_blocking) for t in (self._values, self._lengths))
        return PlainKeyedJaggedTensor(self._keys, values, lengths, self._stride)
