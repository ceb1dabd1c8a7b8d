"""Histories as rows of events, without padding where that saves work."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from torchrec_ext.padding import real_events


def to_rows(events_BTD: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The events of all histories as rows: one history after the other, oldest events first.

    On a CPU padding is left out, which saves the work on it. On other devices, and under torch.compile and
    torch.export, padding is kept: the number of rows must not depend on the lengths. torch.fx traces the
    call as one step.

    Args:
        events_BTD: ``(B, T, D)`` events.
        lengths_B: ``(B,)`` integer lengths.

    Returns:
        ``(N, D)`` events, the ``(N,)`` int64 number of earlier events in the history of each, and its
        ``(N,)`` int64 index in ``events_BTD.flatten(0, 1)``.

    Example:
        >>> events_BTD = torch.tensor([[[7.0], [0.0]], [[8.0], [9.0]]])
        >>> rows_ND, since_N, place_N = to_rows(events_BTD, torch.tensor([1, 2]))
        >>> rows_ND.flatten(), since_N, place_N
        (tensor([7., 8., 9.]), tensor([0, 0, 1]), tensor([0, 2, 3]))
    """
    return _to_rows(events_BTD, lengths_B)


def to_histories(rows_NH: Tensor, place_N: Tensor, events_BTD: Tensor) -> Tensor:
    """The inverse of :func:`to_rows`: ``(N, H)`` rows to ``(B, T, H)``, with zeros where no row belongs.

    Args:
        rows_NH: ``(N, H)`` rows.
        place_N: the third result of :func:`to_rows`.
        events_BTD: the argument of :func:`to_rows`.
    """
    return _to_histories(rows_NH, place_N, events_BTD)


def earlier(rows_NH: Tensor, since_N: Tensor, back: int) -> Tensor:
    """For each row the row of the event ``back`` places earlier in its history, or zeros if there is none.

    Args:
        rows_NH: ``(N, H)`` rows.
        since_N: ``(N,)`` number of earlier events in the history of each.
        back: number of events to go back.
    """
    return rows_NH.roll(back, 0) * (since_N >= back).unsqueeze(1)


def windows(rows_ND: Tensor, since_N: Tensor, backs: tuple[int, ...]) -> Tensor:
    """Several earlier rows and the row itself, concatenated.

    Args:
        rows_ND: ``(N, D)`` rows.
        since_N: ``(N,)`` number of earlier events in the history of each.
        backs: numbers of events to go back, see :func:`earlier`.

    Returns:
        ``(N, (len(backs) + 1) * D)``.

    Example:
        >>> windows(torch.tensor([[7.0], [8.0], [9.0]]), torch.tensor([0, 0, 1]), (1,))
        tensor([[0., 7.],
                [0., 8.],
                [8., 9.]])
    """
    return _windows(rows_ND, since_N, backs)


@torch.fx.wrap  # patched where it is defined, which is why the public function only calls it
def _to_rows(events_BTD: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    batch, events, _ = events_BTD.shape
    rows = events_BTD.flatten(0, 1)
    if events_BTD.device.type != "cpu" or torch.compiler.is_compiling():
        place = torch.arange(batch * events, device=rows.device)
        return rows, place % events, place
    place = real_events(events_BTD, lengths_B).flatten().nonzero().squeeze(1)
    return rows.index_select(0, place), place % events, place


@torch.fx.wrap
def _to_histories(rows_NH: Tensor, place_N: Tensor, events_BTD: Tensor) -> Tensor:
    batch, events, _ = events_BTD.shape
    if rows_NH.shape[0] < batch * events:
        rows_NH = rows_NH.new_zeros(batch * events, rows_NH.shape[1]).index_copy(0, place_N, rows_NH)
    return rows_NH.view(batch, events, rows_NH.shape[1])


@torch.fx.wrap
def _windows(rows_ND: Tensor, since_N: Tensor, backs: tuple[int, ...]) -> Tensor:
    if rows_ND.device.type == "cpu" and not torch.compiler.is_compiling():
        return _Windows.apply(rows_ND, since_N, backs)
    return torch.cat([*(earlier(rows_ND, since_N, back) for back in backs), rows_ND], 1)


class _Windows(torch.autograd.Function):
    """Writes each row to its place directly, which saves half of the copies that autograd makes."""

    @staticmethod
    def forward(ctx: Any, rows_ND: Tensor, since_N: Tensor, backs: tuple[int, ...]) -> Tensor:
        count, dim = rows_ND.shape
        ctx.save_for_backward(since_N)
        ctx.backs = backs
        side_by_side = rows_ND.new_empty(count, (len(backs) + 1) * dim)
        *before, own = side_by_side.split(dim, 1)
        for back, rows in zip(backs, before, strict=True):
            rows[:back].zero_()
            if back < count:
                torch.mul(rows_ND[:-back], _has(since_N, back, rows), out=rows[back:])
        own.copy_(rows_ND)
        return side_by_side

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor, None, None]:
        (since_N,) = ctx.saved_tensors
        *before, own = gradients.split(gradients.shape[1] // (len(ctx.backs) + 1), 1)
        total = own.clone()
        for back, rows in zip(ctx.backs, before, strict=True):
            if back < len(total):
                total[:-back].addcmul_(rows[back:], _has(since_N, back, rows))
        return total, None, None


def _has(since_N: Tensor, back: int, rows: Tensor) -> Tensor:
    return (since_N[back:] >= back).unsqueeze(1).to(rows.dtype)
