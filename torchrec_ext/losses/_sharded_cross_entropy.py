"""Softmax cross-entropy of dot products over a catalogue of which each rank holds a slice."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from torchrec_ext.errors import InputError
from torchrec_ext.losses._dot_product_cross_entropy import linear, prepared, rows_per_block


def sharded_cross_entropy(
    queries_ND: Tensor,
    items_CD: Tensor,
    labels_N: Tensor,
    weights_N: Tensor | None,
    first_candidate: Tensor,
) -> Tensor:
    """The summed negative log-likelihood of each query's target among the items of all ranks.

    Every rank must call it, with a slice of the items and queries of its own. The ranks exchange queries, of
    each block of targets the logarithms of the sums over their items, and the gradients of the queries; a
    rank's items and their gradient stay on it. Together the ranks have the loss and the gradients of
    :func:`dot_product_cross_entropy` of all items on each rank, with its precision and memory per block. The
    gradients suppose that every rank's loss is multiplied by the same factor.

    The exchange is that of "Megatron-LM" (Shoeybi et al. 2019, section 3), whose vocabulary is split too.

    Args:
        queries_ND: ``(N, D)`` float queries of this rank, N from 0.
        items_CD: ``(C, D)`` float items of this rank, C at least 1.
        labels_N: ``(N,)`` int64 position of the target among the items of all ranks; -1 leaves the query out.
        weights_N: ``(N,)`` weight of each target, or None for ones; it has no gradient.
        first_candidate: int64 scalar, position of this rank's first item among those of all ranks.

    Returns:
        A float32 scalar, float64 for float64 vectors: the sum over this rank's queries.

    Raises:
        InputError: if a shape does not fit the queries; in the backward pass for ``create_graph=True``.

    Example:
        >>> from torchrec_ext.distributed import join_group
        >>> group = join_group()  # of one rank, which holds all items
        >>> queries, items, first = torch.zeros(2, 8), torch.zeros(4, 8), torch.tensor(0)
        >>> sharded_cross_entropy(queries, items, torch.tensor([3, -1]), None, first)
        tensor(1.3863)
    """
    queries_ND, items_CD, counted_N = prepared(queries_ND, items_CD, labels_N, weights_N)
    labels_N, differentiable = labels_N.clamp(min=0), torch.is_grad_enabled()
    with torch.autocast(queries_ND.device.type, enabled=False):
        loss: Tensor = _OverSlices.apply(
            queries_ND, items_CD, labels_N, counted_N.double(), first_candidate, differentiable
        )
    return loss


class _OverSlices(torch.autograd.Function):
    """Sums the losses of a rank's targets; M queries of all ranks meet the C items of this one."""

    @staticmethod
    def forward(
        ctx: Any,
        queries_ND: Tensor,
        items_CD: Tensor,
        labels_N: Tensor,
        weights_N: Tensor,
        first: Tensor,
        differentiable: bool,
    ) -> Tensor:
        wide = torch.float64 if queries_ND.dtype == torch.float64 else torch.float32
        size_2 = torch.tensor([len(queries_ND), len(items_CD)], device=queries_ND.device)
        sizes = _gather(size_2).view(-1, 2).tolist()
        counts = [queries for queries, _ in sizes]
        queries_MD = _gather_rows(queries_ND, counts)
        # float64 holds positions exactly, so that labels and weights travel together
        labels_M, weights_M = _gather_rows(torch.stack([labels_N, weights_N], 1), counts).unbind(1)
        places_M1 = (labels_M.long() - first).unsqueeze(1)
        held_M1 = (places_M1 >= 0) & (places_M1 < len(items_CD))
        places_M1, weights_M1 = places_M1.where(held_M1, 0), weights_M.to(wide).unsqueeze(1)
        losses_M1 = torch.empty_like(weights_M1)
        of_queries = torch.zeros_like(queries_MD, dtype=wide)
        of_items = torch.zeros_like(items_CD, dtype=wide)
        items_DC = items_CD.T.contiguous() if differentiable else items_CD
        rows = rows_per_block(items_CD.device.type, max(items for _, items in sizes))
        shares = queries_ND.new_empty(min(rows, len(queries_MD)), len(items_CD), dtype=wide)
        for start in range(0, len(queries_MD), rows):
            part = slice(start, start + rows)
            some_mD, place_m1, held_m1 = queries_MD[part], places_M1[part], held_M1[part]
            weight_m1 = weights_M1[part]
            logits_mC, shares_mC = linear(some_mD, items_CD).to(wide), shares[: len(some_mD)]
            torch.softmax(logits_mC, 1, out=shares_mC)
            # the largest share cannot underflow, as the target's may
            log_sum_m1 = logits_mC.amax(1, keepdim=True) - shares_mC.amax(1, keepdim=True).log()
            own_m1 = logits_mC.gather(1, place_m1) * held_m1
            sums_R2m = _gather(torch.stack([log_sum_m1, own_m1])).view(len(counts), 2, -1)
            log_of_all_m1 = sums_R2m[:, 0].logsumexp(0).unsqueeze(1)
            losses_M1[part] = log_of_all_m1 - sums_R2m[:, 1].sum(0).unsqueeze(1)
            if not differentiable:
                continue
            slopes_mC, scale_m1 = shares_mC.to(items_CD.dtype), (log_sum_m1 - log_of_all_m1).exp() * weight_m1
            of_queries[part] = linear(slopes_mC, items_DC) * scale_m1
            scaled_mD = (some_mD * scale_m1).to(items_CD.dtype)
            if of_items.dtype == items_CD.dtype:
                of_items.addmm_(slopes_mC.T, scaled_mD)
            else:
                of_items += slopes_mC.T @ scaled_mD
        held = held_M1.flatten().nonzero().squeeze(1)
        places, weights_1 = places_M1[held].squeeze(1), weights_M1[held]
        of_queries.index_add_(0, held, items_CD[places].to(wide) * -weights_1)
        of_items.index_add_(0, places, queries_MD[held].to(wide) * -weights_1)
        mine = slice(sum(counts[: dist.get_rank()]), sum(counts[: dist.get_rank() + 1]))
        if differentiable:
            of_mine = _sum_rows(of_queries, counts).to(queries_ND.dtype)
            ctx.save_for_backward(of_mine, of_items.to(items_CD.dtype))
        return (losses_M1[mine] * weights_M1[mine]).sum()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # once_differentiable would drop the second derivatives without a word
            raise InputError(
                "the gradients of sharded_cross_entropy cannot be differentiated again, received "
                "create_graph=True; take softmax_cross_entropy of the logits"
            )
        of_queries, of_items = ctx.saved_tensors
        return of_queries * slope.to(of_queries.dtype), of_items * slope.to(of_items.dtype), *4 * (None,)


def sharded_targets(items_CD: Tensor, labels_N: Tensor, first_candidate: Tensor) -> Tensor:
    """The ``(N, D)`` items of targets that any rank may hold, as :func:`sharded_cross_entropy` names them."""
    with torch.no_grad():
        counts = _gather(torch.tensor([len(labels_N)], device=labels_N.device)).tolist()
        places_M = _gather_rows(labels_N.unsqueeze(1), counts).squeeze(1) - first_candidate
        held_M = (places_M >= 0) & (places_M < len(items_CD))
        return _sum_rows(items_CD[places_M.where(held_M, 0)] * held_M.unsqueeze(1), counts)


def _gather(part: Tensor) -> Tensor:
    """The parts of all ranks, of one shape, one after the other and flat."""
    found = part.new_empty(dist.get_world_size() * part.numel())
    dist.all_gather_single(found, part.flatten())
    return found


def _gather_rows(rows_NK: Tensor, counts: list[int]) -> Tensor:
    """The rows of all ranks, of which rank r has ``counts[r]``."""
    padded = rows_NK.new_zeros(max(*counts, 1), rows_NK.shape[1])
    padded[: len(rows_NK)] = rows_NK
    ranks = _gather(padded).view(len(counts), *padded.shape)
    return torch.cat([its[:count] for its, count in zip(ranks, counts, strict=True)])


def _sum_rows(rows_MK: Tensor, counts: list[int]) -> Tensor:
    """The sums over the ranks of this rank's rows."""
    mine = counts[dist.get_rank()]
    found = rows_MK.new_empty(len(counts) * mine, rows_MK.shape[1])
    dist.all_to_all_single(found, rows_MK, [mine] * len(counts), counts)
    return found.view(len(counts), mine, rows_MK.shape[1]).sum(0)
