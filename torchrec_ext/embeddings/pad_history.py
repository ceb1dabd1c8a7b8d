"""The histories of a JaggedTensor as one padded tensor, for an encoder."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from torchrec_ext.checks import expect_at_least, expect_shape

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import JaggedTensor


def pad_history(jagged_tensor: "JaggedTensor", max_length: int) -> tuple[Tensor, Tensor]:
    """Pads histories of vectors, oldest event first, on the right, as an encoder takes them.

    It may be called in a model that TorchRec's train pipeline traces.

    Args:
        jagged_tensor: the output of an EmbeddingCollection, sharded or not, for a feature.
        max_length: number of events kept of a longer history, the newest.

    Returns:
        ``(B, T, D)`` float events, zero after a history's end, T being the longest kept history of
        the batch and at least 1; and the ``(B,)`` integer lengths kept.

    Raises:
        InputError: if ``max_length`` is below 1 or the values are not ``(N, D)``.

    Example:
        >>> from torchrec.sparse.jagged_tensor import JaggedTensor
        >>> histories = JaggedTensor(values=torch.tensor([[1.0], [2.0], [3.0]]), lengths=torch.tensor([3, 0]))
        >>> events, lengths = pad_history(histories, max_length=2)
        >>> events.tolist(), lengths.tolist()
        ([[[2.0], [3.0]], [[0.0], [0.0]]], [2, 0])
    """
    return _pad_history(jagged_tensor, max_length)


# torch.fx patches a wrapped function in the module that defines it, not where a user imports it to.
@torch.fx.wrap
def _pad_history(jagged_tensor: "JaggedTensor", max_length: int) -> tuple[Tensor, Tensor]:
    expect_at_least(1, max_length=max_length)
    values, lengths, offsets = jagged_tensor.values(), jagged_tensor.lengths(), jagged_tensor.offsets()
    expect_shape("values", values, ("events", "width"))
    longest = int(lengths.max()) if lengths.numel() else 0
    if longest > max_length:
        first_kept = torch.repeat_interleave(offsets[1:] - max_length, lengths, output_size=len(values))
        values = values[torch.arange(len(values), device=values.device) >= first_kept]
        lengths, longest = lengths.clamp(max=max_length), max_length
        offsets = pad(lengths.cumsum(0), (1, 0))
    longest = max(longest, 1)
    if hasattr(torch.ops.fbgemm, "jagged_to_padded_dense"):  # takes a third of the time
        return torch.ops.fbgemm.jagged_to_padded_dense(values, [offsets], [longest]), lengths
    first = torch.arange(len(lengths), device=values.device) * longest - offsets[:-1]
    places = torch.repeat_interleave(first, lengths, output_size=len(values))
    places += torch.arange(len(values), device=values.device)
    events = values.new_zeros(len(lengths) * longest, values.shape[1]).index_copy(0, places, values)
    return events.unflatten(0, (len(lengths), longest)), lengths
