"""Candidates that a whole batch shares as a KeyedJaggedTensor."""

import torch
from torch import Tensor
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.errors import InputError


def spread_candidates(ids_C: Tensor, batch_size: int, key: str = "candidates") -> KeyedJaggedTensor:
    """Lays C candidates that all examples share evenly over the slots of a batch.

    A KeyedJaggedTensor has ids for each example, and shared candidates belong to none. Spread over the
    slots they can be joined with the histories, so that one call of an EmbeddingCollection looks both up
    in one table; the looked-up values of the key are the ``(C, D)`` vectors in the order of ``ids_C``.
    Build the result in the data path, where TorchRec's pipeline can send the ids ahead.

    Args:
        ids_C: ``(C,)`` integer ids.
        batch_size: B, examples of the batch, at least 1.
        key: of the feature.

    Returns:
        The ids under one key, stride B; at most ``ceil(C / B)`` of them in a slot.

    Raises:
        InputError: if ``ids_C`` is not ``(C,)`` integers or ``batch_size`` is below 1.

    Example:
        >>> import torchrec
        >>> history = KeyedJaggedTensor(["history"], torch.tensor([3, 1, 2]), lengths=torch.tensor([2, 1]))
        >>> candidates = spread_candidates(torch.tensor([4, 0, 1]), batch_size=2)
        >>> ids = KeyedJaggedTensor.concat([history, candidates])
        >>> item = torchrec.EmbeddingConfig(5, 8, "item", feature_names=["history", "candidates"])
        >>> looked_up = torchrec.EmbeddingCollection([item])(ids)
        >>> looked_up["history"].lengths(), looked_up["candidates"].values().shape
        (tensor([2, 1]), torch.Size([3, 8]))
    """
    expect_shape("ids_C", ids_C, ("candidates",))
    expect_at_least(1, batch_size=batch_size)
    if ids_C.is_floating_point() or ids_C.dtype == torch.bool:
        raise InputError(f"ids_C should be integers, received {ids_C.dtype}; convert them with ids_C.long()")
    lengths_B = (torch.arange(batch_size + 1) * len(ids_C) // batch_size).diff()
    return KeyedJaggedTensor([key], ids_C, lengths=lengths_B.to(ids_C.device), stride=batch_size)
