"""Recurrences over a dynamic number of events for ``torch.export``."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def is_dynamic(size: int) -> bool:
    """Whether ``torch.export`` is tracing and this size is dynamic.

    A branch that depends on the size would fix it. So would torch's recurrent networks, which torch.export
    unrolls into one copy for each event.

    Example:
        >>> is_dynamic(torch.zeros(2, 5, 8).shape[1])
        False
    """
    return torch.compiler.is_exporting() and not isinstance(size, int)


def scan(
    step: Callable[[Any, Any], tuple[Any, Tensor]], state: Any, inputs: Tensor | tuple[Tensor, ...]
) -> tuple[Any, Tensor]:
    """A loop over the first axis that an exported program keeps as a loop, of at least one step.

    Args:
        step: the state and one entry of the inputs to the next state and the step's output.
        state: a tensor or a tuple of tensors.
        inputs: ``(T, ...)`` tensors.

    Returns:
        The last state, and ``(T, ...)`` outputs.
    """
    # Not public in torch 2.13, and imported here because it imports the compiler.
    from torch._higher_order_ops.scan import scan as scan_operator

    return scan_operator(step, state, inputs)


def scan_states(step: Callable[[Any, Any], tuple[Any, Tensor]], start: Any, inputs_TBG: Tensor) -> Tensor:
    """The ``(T, B, H)`` outputs of a :func:`scan`; T may be 0."""
    # A scan refuses zero steps, and whether there are any is not known while torch.export traces.
    one_more = functional.pad(inputs_TBG, (0, 0, 0, 0, 0, 1))
    return scan(step, start, one_more)[1][: inputs_TBG.shape[0]]


def gru(layers: Sequence[Sequence[Tensor]], events_TBD: Tensor) -> Tensor:
    """A unidirectional ``nn.GRU`` in evaluation mode, as a scan.

    Args:
        layers: ``all_weights`` of the network, which has biases.
        events_TBD: ``(T, B, D)`` events.

    Returns:
        ``(T, B, H)`` states of the last layer.
    """
    for from_event, from_state, event_bias, state_bias in layers:
        start_BH = events_TBD.new_zeros(events_TBD.shape[1], from_state.shape[1])

        def step(
            state_BH: Tensor, gates_BG: Tensor, weight: Tensor = from_state, bias: Tensor = state_bias
        ) -> tuple[Tensor, Tensor]:
            reset, update, new = gates_BG.chunk(3, 1)
            state_reset, state_update, state_new = functional.linear(state_BH, weight, bias).chunk(3, 1)
            new = torch.tanh(new + torch.sigmoid(reset + state_reset) * state_new)
            state_BH = torch.lerp(new, state_BH, torch.sigmoid(update + state_update))
            return state_BH, state_BH.clone()

        events_TBD = scan_states(step, start_BH, functional.linear(events_TBD, from_event, event_bias))
    return events_TBD


def lstm(layers: Sequence[Sequence[Tensor]], events_TBD: Tensor) -> Tensor:
    """A unidirectional ``nn.LSTM`` in evaluation mode, as a scan; see :func:`gru`."""
    for from_event, from_state, event_bias, state_bias in layers:
        start_BH = events_TBD.new_zeros(events_TBD.shape[1], from_state.shape[1])

        def step(
            state: tuple[Tensor, Tensor],
            gates_BG: Tensor,
            weight: Tensor = from_state,
            bias: Tensor = state_bias,
        ) -> tuple[tuple[Tensor, Tensor], Tensor]:
            state_BH, cell_BH = state
            gates_BG = gates_BG + functional.linear(state_BH, weight, bias)
            enter, forget, cell, out = gates_BG.chunk(4, 1)
            cell_BH = torch.sigmoid(forget) * cell_BH + torch.sigmoid(enter) * torch.tanh(cell)
            state_BH = torch.sigmoid(out) * torch.tanh(cell_BH)
            return (state_BH, cell_BH), state_BH.clone()

        gates_TBG = functional.linear(events_TBD, from_event, event_bias)
        events_TBD = scan_states(step, (start_BH, start_BH.clone()), gates_TBG)
    return events_TBD
