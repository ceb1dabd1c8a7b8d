"""How far back each event of a padded history is."""

import torch
from torch import Tensor


def recency(events_BTD: Tensor, lengths_B: Tensor, max_length: int) -> Tensor:
    """The number of real events after each event, which is the index of its learnt position.

    An encoder that reads a whole history at once counts positions back from the newest event, so that the
    newest event has the same position in histories of any length. torch.fx traces the call as one step.

    Args:
        events_BTD: ``(B, T, ...)``, of which only the shape and the device are read.
        lengths_B: ``(B,)`` integer lengths.
        max_length: number of positions; older events share the last one.

    Returns:
        ``(B, T)`` int64, 0 for padding.

    Example:
        >>> recency(torch.zeros(2, 4, 8), torch.tensor([2, 4]), max_length=3)
        tensor([[1, 0, 0, 0],
                [2, 2, 1, 0]])
    """
    return _recency(events_BTD, lengths_B, max_length)


@torch.fx.wrap  # patched where it is defined, which is why the public function only calls it
def _recency(events_BTD: Tensor, lengths_B: Tensor, max_length: int) -> Tensor:
    at_T = torch.arange(events_BTD.shape[1], device=events_BTD.device)
    return (lengths_B.long().unsqueeze(1) - 1 - at_T).clamp(0, max_length - 1)
