"""Ids of several queries in one flat tensor."""

from typing import TypeAlias

import torch
from torch import Tensor

from torchrec_ext.errors import InputError

Jagged: TypeAlias = tuple[Tensor, Tensor]
"""(N,) int64 ids, and (B + 1,) int64 offsets at which the ids of each query begin; the last one is N."""


def as_jagged(ids: list[Tensor] | Jagged | None, queries: int, name: str, device: torch.device) -> Jagged:
    """Brings ids of each query into one form, on ``device``, and checks that they fit the queries.

    Args:
        ids: a list of one integer tensor a query, a :data:`Jagged` tuple, or None for no id at all.
        queries: how many queries there are.
        name: the argument's name, for the error.
        device: where the ids are wanted.

    Raises:
        InputError: if they are not the ids of so many queries.

    Example:
        >>> as_jagged([torch.tensor([5, 3]), torch.tensor([4])], 2, "exclude", torch.device("cpu"))
        (tensor([5, 3, 4]), tensor([0, 2, 3]))
    """
    none = torch.empty(0, dtype=torch.int64)
    if ids is None:
        ids = none, torch.zeros(queries + 1, dtype=torch.int64)
    if isinstance(ids, list):
        values = torch.cat(ids) if ids else none
        offsets = torch.tensor([0, *map(len, ids)]).cumsum(0)
    else:
        values, offsets = ids
    if len(offsets) != queries + 1:
        raise InputError(
            f"{name} holds ids of {len(offsets) - 1} queries, but there are {queries}; give one entry a query"
        )
    if offsets[0] != 0 or offsets[-1] != len(values) or (offsets.diff() < 0).any():
        raise InputError(f"the offsets of {name} must rise from 0 to its number of ids, {len(values)}")
    return values.to(device, torch.int64), offsets.to(device, torch.int64)


def rows_and_ids(jagged: Jagged, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """The ids of queries ``start`` to ``stop``, and the row of each, counted from ``start``."""
    values, offsets = jagged
    lengths = offsets[start : stop + 1].diff()
    rows = torch.arange(stop - start, device=values.device).repeat_interleave(lengths)
    return rows, values[offsets[start] : offsets[stop]]
