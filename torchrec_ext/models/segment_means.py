"""Means of consecutive segments of a flat tensor: one vector for a value of several ids."""

import torch
from torch import Tensor


def segment_means(values_SD: Tensor, lengths_N: Tensor) -> Tensor:
    """Mean of each segment, zeros for an empty one.

    Args:
        values_SD: ``(S, D)`` vectors, one segment after the other.
        lengths_N: ``(N,)`` int64 number of vectors of each segment.

    Returns:
        ``(N, D)``.

    Example:
        >>> segment_means(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([2, 0, 1])).tolist()
        [[2.0], [0.0], [5.0]]
    """
    segment = torch.repeat_interleave(lengths_N, output_size=values_SD.shape[0])
    sums = values_SD.new_zeros(len(lengths_N), values_SD.shape[1]).index_add(0, segment, values_SD)
    return sums / lengths_N.clamp(min=1).unsqueeze(1)
