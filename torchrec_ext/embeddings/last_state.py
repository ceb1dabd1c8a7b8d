"""The newest state of each history."""

import torch
from torch import Tensor

from torchrec_ext.checks import expect_shape


def last_state(states_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """The state at each history's last event, and zeros for an empty history.

    It may be called in a model that TorchRec's train pipeline traces.

    Args:
        states_BTD: ``(B, T, D)`` float states, the output of an encoder.
        lengths_B: ``(B,)`` integer lengths; one above T counts as T.

    Returns:
        ``(B, D)`` float states.

    Raises:
        InputError: if a shape differs.

    Example:
        >>> last_state(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.tensor([1, 0]))
        tensor([[1.],
                [0.]])
    """
    return _last_state(states_BTD, lengths_B)


# torch.fx patches a wrapped function in the module that defines it, not where a user imports it to.
@torch.fx.wrap
def _last_state(states_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    expect_shape("states_BTD", states_BTD, ("batch", "events", "width"))
    batch, events, _ = states_BTD.shape
    expect_shape("lengths_B", lengths_B, (batch,))
    if events == 0:
        return states_BTD.sum(1)
    newest_B = lengths_B.clamp(1, events) - 1
    picked_BD = states_BTD[torch.arange(batch, device=states_BTD.device), newest_B]
    return picked_BD.masked_fill((lengths_B == 0).unsqueeze(1), 0.0)
