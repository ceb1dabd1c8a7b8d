"""Ids of several queries in one flat tensor."""

from collections.abc import Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor

from torchrec_ext.contracts import Exclusions
from torchrec_ext.errors import InputError

Jagged: TypeAlias = tuple[Tensor, Tensor]
"""(N,) int64 ids, and (B + 1,) int64 offsets at which the ids of each query begin; the last one is N."""

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def as_jagged(ids: Exclusions | None, queries: int, name: str, device: torch.device) -> Jagged:
    """Brings the ids of each query into one form, on ``device``, and checks that they fit the queries.

    Args:
        ids: a sequence of one integer tensor or list a query, a :data:`Jagged` tuple, or None for no id.
        queries: how many queries there are.
        name: the argument's name, for the error.
        device: where the ids are wanted.

    Raises:
        InputError: if they are not integer ids of that many queries.

    Example:
        >>> as_jagged([torch.tensor([5, 3]), [4]], 2, "exclude", torch.device("cpu"))
        (tensor([5, 3, 4]), tensor([0, 2, 3]))
    """
    if ids is None:
        return torch.empty(0, dtype=torch.int64, device=device), torch.zeros(
            queries + 1, dtype=torch.int64, device=device
        )
    if isinstance(ids, tuple) and len(ids) == 2 and all(isinstance(part, Tensor) for part in ids):
        values, offsets = cast(Jagged, ids)
    else:
        lists = [_as_ids(each, name) for each in ids]
        values = torch.cat([torch.empty(0, dtype=torch.int64), *lists])
        offsets = torch.tensor([0, *map(len, lists)]).cumsum(0)
    if len(offsets) != queries + 1:
        raise InputError(
            f"{name} holds ids of {len(offsets) - 1} queries, but there are {queries}; give one entry a query"
        )
    if offsets[0] != 0 or offsets[-1] != len(values) or (offsets.diff() < 0).any():
        raise InputError(f"the offsets of {name} must rise from 0 to its number of ids, {len(values)}")
    return values.to(device, torch.int64), offsets.to(device, torch.int64)


def _as_ids(ids: Tensor | Sequence[int], name: str) -> Tensor:
    """The ids of one query as (n,) int64."""
    try:
        found = torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError):
        found = None
    if found is None or found.dim() != 1 or len(found) and found.dtype not in _INTEGERS:
        raise InputError(
            f"{name} should hold a list of integer ids for each query, such as [[1, 2], [3]]; received "
            f"{ids!r} for one"
        )
    return found.to(torch.int64)


def rows_and_ids(jagged: Jagged, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """The ids of queries ``start`` to ``stop``, and the row of each, counted from ``start``."""
    values, offsets = jagged
    lengths = offsets[start : stop + 1].diff()
    rows = torch.arange(stop - start, device=values.device).repeat_interleave(lengths)
    return rows, values[offsets[start] : offsets[stop]]


def find_sorted(ascending_I: Tensor, values_N: Tensor) -> tuple[Tensor, Tensor]:
    """Where each value stands among ascending ones, or would stand, and whether it is there."""
    if not len(ascending_I) or not len(values_N):
        return torch.zeros_like(values_N), torch.zeros_like(values_N, dtype=torch.bool)
    first, last = ascending_I[0], ascending_I[-1]
    if last - first == len(ascending_I) - 1:  # no gap, as in most catalogues
        places_N = (values_N - first).clamp_(0, len(ascending_I))
        return places_N, (values_N >= first) & (values_N <= last)
    places_N = torch.searchsorted(ascending_I, values_N)
    return places_N, ascending_I[places_N.clamp(max=len(ascending_I) - 1)] == values_N
