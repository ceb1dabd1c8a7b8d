"""Gated recurrent units on a CPU, over the real events only."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def is_supported(events: Any) -> bool:
    """Whether :func:`recur` may be called: for tensors on a CPU, outside tracing and compilation."""
    return type(events) is Tensor and events.device.type == "cpu" and not torch.compiler.is_compiling()


def recur(recurrence: nn.GRU, drop: nn.Module, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """Computes ``drop(recurrence(drop(events_BTD))[0])`` faster, with zeros at padding.

    Histories are sorted by length, longest first, and each step computes only those that have not ended.
    The gradients of the weights are one matrix product over all steps; torch adds up one product a step.
    Gradients cannot be differentiated again; an attempt raises RuntimeError.

    Args:
        recurrence: batch first, one direction, with biases.
        drop: the dropout of the events and the states.
        events_BTD: ``(B, T, D)`` events, see :func:`is_supported`.
        lengths_B: ``(B,)`` integer lengths.
    """
    batch, events, _ = events_BTD.shape
    lengths_B, order_B = lengths_B.clamp(max=events).sort(descending=True, stable=True)
    at_T1 = torch.arange(events).unsqueeze(1)
    real_TB = at_T1 < lengths_B
    sizes = [size for size in real_TB.sum(1).tolist() if size]
    place_N = (order_B * events + at_T1)[real_TB]  # by step, then by history
    rows = drop(events_BTD.flatten(0, 1).index_select(0, place_N))
    for layer, weights in enumerate(recurrence.all_weights):
        if layer:
            rows = functional.dropout(rows, recurrence.dropout, recurrence.training)
        rows = _Layer.apply(rows, sizes, *weights)
    states = rows.new_zeros(batch * events, recurrence.hidden_size).index_copy(0, place_N, drop(rows))
    return states.view(batch, events, recurrence.hidden_size)


class _Layer(torch.autograd.Function):
    """One layer over rows sorted by step, ``sizes`` of them in each.

    A row of the working memory holds four parts of the layer's width: the new content, the reset gate, the
    update gate, and the previous state's share of the new content. The first three read the events and the
    last three read the state, each by one matrix product.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows_ND: Tensor,
        sizes: list[int],
        from_event: Tensor,
        from_state: Tensor,
        event_bias: Tensor,
        state_bias: Tensor,
    ) -> Tensor:
        count, width = rows_ND.shape[0], from_state.shape[1]
        parts = _memory(rows_ND, count, width)
        new, reset, update, added = parts.split(width, 1)
        bias = _new_first(event_bias, width)
        bias[width:] += state_bias[: 2 * width]
        torch.addmm(bias, rows_ND, _new_first(from_event, width).T, out=parts[:, : 3 * width])
        added.copy_(state_bias[2 * width :].expand_as(added))
        states = rows_ND.new_empty(count, width)
        before = rows_ND.new_zeros(max(sizes, default=0), width)
        turned = from_state.T.contiguous()
        steps = [part.split(sizes) for part in (new, reset, update, added, states)]
        gates, stated = parts[:, width : 3 * width].split(sizes), parts[:, width:].split(sizes)
        for t, (n, r, z, a, state) in enumerate(zip(*steps, strict=True)):
            before = before[: len(n)]
            if t:
                torch.addmm(stated[t], before, turned, out=stated[t])
            gates[t].sigmoid_()
            n.addcmul_(r, a).tanh_()
            before = torch.lerp(n, before, z, out=state)
        ctx.save_for_backward(rows_ND, parts, states, from_event, from_state)
        ctx.sizes = sizes
        return states

    @staticmethod
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "gradients of a GRU on a CPU cannot be differentiated again; create no graph of them"
            )
        with torch.autocast("cpu", enabled=False):
            return _gradients(ctx.sizes, gradients, *ctx.saved_tensors)


def _gradients(
    sizes: list[int],
    gradients: Tensor,
    rows_ND: Tensor,
    parts: Tensor,
    states: Tensor,
    from_event: Tensor,
    from_state: Tensor,
) -> tuple[Tensor | None, ...]:
    """The gradients of the layer's inputs and weights, from the gradients of its states."""
    width = from_state.shape[1]
    gradients = gradients.clone()  # each step adds to the previous step's gradient
    kept = [state[:size] for state, size in zip(states.split(sizes), sizes[1:], strict=False)]
    before = torch.cat([states.new_zeros(max(sizes, default=0), width), *kept])
    new, reset, update, added = parts.split(width, 1)
    # First each part's local derivative for all steps at once; the loop multiplies by the gradient that
    # arrives at each step.
    moved = _memory(rows_ND, len(rows_ND), width)
    by_new, by_reset, by_update, by_added = moved.split(width, 1)
    torch.ops.aten.tanh_backward.grad_input(1 - update, new, grad_input=by_new)
    torch.ops.aten.sigmoid_backward.grad_input(added, reset, grad_input=by_reset)
    torch.ops.aten.sigmoid_backward.grad_input(before - new, update, grad_input=by_update)
    by_added.copy_(reset)
    four = moved.unflatten(1, (4, width))
    of_state, of_new = four[:, 0::2].split(sizes), four[:, 1::2].split(sizes)
    steps = [part.split(sizes) for part in (gradients, update, by_new, moved[:, width:])]
    for t in range(len(sizes) - 1, -1, -1):
        gradient, z, n, stated = (part[t] for part in steps)
        of_state[t].mul_(gradient.unsqueeze(1))
        of_new[t].mul_(n.unsqueeze(1))
        if t:
            earlier = steps[0][t - 1][: sizes[t]]
            earlier.addcmul_(gradient, z)
            torch.addmm(earlier, stated, from_state, out=earlier)
    by_events, by_states = moved[:, : 3 * width], moved[:, width:]
    biases = moved.sum(0)
    return (
        by_events @ _new_first(from_event, width),
        None,
        _new_last(by_events.T @ rows_ND, width),
        by_states.T @ before,
        _new_last(biases[: 3 * width], width),
        biases[width:],
    )


def _memory(like: Tensor, count: int, width: int) -> Tensor:
    """``(count, 4 * width)``, not contiguous: rows a multiple of 4 KiB apart compete for cache lines."""
    return like.new_empty(count, 4 * width + 16)[:, : 4 * width]


def _new_first(weight: Tensor, width: int) -> Tensor:
    """From torch's order (reset, update, new) to new, reset, update."""
    return torch.cat([weight[2 * width :], weight[: 2 * width]])


def _new_last(weight: Tensor, width: int) -> Tensor:
    return torch.cat([weight[width:], weight[:width]])
