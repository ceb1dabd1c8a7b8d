"""Which events of a padded history are real."""

import torch
from torch import Tensor
from torch.nn import functional


def real_events(events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """Which events are real in histories that are padded on the right.

    torch.fx traces the call as one step.

    Args:
        events_BTD: ``(B, T, ...)``, of which only the shape and the device are read.
        lengths_B: ``(B,)`` integer lengths.

    Returns:
        ``(B, T)`` bool, True where an event is real.

    Example:
        >>> real_events(torch.zeros(2, 3, 8), torch.tensor([1, 3]))
        tensor([[ True, False, False],
                [ True,  True,  True]])
    """
    return _real_events(events_BTD, lengths_B)


def at_least_one_event(events_BTD: Tensor) -> Tensor:
    """``(B, max(T, 1), D)``: the events, or one event of zeros: torch's recurrent networks refuse T = 0.

    torch.fx traces the call as one step.

    Args:
        events_BTD: ``(B, T, D)`` events.

    Example:
        >>> at_least_one_event(torch.ones(2, 0, 8)).shape
        torch.Size([2, 1, 8])
    """
    return _at_least_one_event(events_BTD)


@torch.fx.wrap
def _at_least_one_event(events_BTD: Tensor) -> Tensor:
    return events_BTD if events_BTD.shape[1] else functional.pad(events_BTD, (0, 0, 0, 1))


@torch.fx.wrap  # patched in this module, which is why the public function only calls it
def _real_events(events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    return torch.arange(events_BTD.shape[1], device=events_BTD.device) < lengths_B.unsqueeze(1)
