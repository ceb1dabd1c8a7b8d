"""Scores of many pairs in blocks, so that intermediate values of all pairs never exist at once."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

BLOCK = 2**19
"""Numbers in memory at a time in each step: 2 MiB, about the size of a processor's cache."""


def in_blocks(
    score: Callable[[Tensor, Tensor], Tensor],
    queries_BX: Tensor,
    candidates: Tensor,
    width: int,
    block: int = BLOCK,
) -> Tensor:
    """Scores of queries and candidates, computed in blocks of pairs.

    With gradients a block is computed again in the backward pass, so that no more than the scores is kept.
    Compiled code computes all pairs at once, because the number of blocks depends on their number.

    Args:
        score: maps queries and some of their candidates to ``(B, C)`` scores.
        queries_BX: ``(B, X)`` queries.
        candidates: ``(C, Y)`` shared or ``(B, C, Y)`` own candidates.
        width: intermediate numbers of each pair.
        block: intermediate numbers of a block.

    Returns:
        ``(B, C)`` scores.
    """
    count = candidates.shape[-2]
    if torch.compiler.is_compiling() or len(queries_BX) * count * width <= block:
        return score(queries_BX, candidates)
    columns = min(count, max(1, block // width))
    rows = max(1, block // (columns * width))
    lines = []
    for first in range(0, len(queries_BX), rows):
        some_BX = queries_BX[first : first + rows]
        theirs = candidates if candidates.dim() == 2 else candidates[first : first + rows]
        line = [_checkpointed(score, some_BX, part) for part in theirs.split(columns, -2)]
        lines.append(torch.cat(line, 1))
    return torch.cat(lines)


def _checkpointed(
    score: Callable[[Tensor, Tensor], Tensor], queries_BX: Tensor, candidates: Tensor
) -> Tensor:
    if not torch.is_grad_enabled():
        return score(queries_BX, candidates)
    kept: Tensor = checkpoint(score, queries_BX, candidates, use_reentrant=False, preserve_rng_state=False)
    return kept
