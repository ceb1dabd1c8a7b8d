"""Softmax cross-entropy of dot products, in blocks of targets, without a tensor of all logits."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from torchrec_ext.checks import expect_shape
from torchrec_ext.errors import InputError
from torchrec_ext.losses.softmax_cross_entropy import expect_candidates

_BLOCK = {"cpu": 2**19}
"""Logits in memory at a time: on a CPU 2 MiB of them, which stay in its cache."""
_LARGE_BLOCK = 2**26
_LOWEST = torch.finfo(torch.float32).min
_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_ROWS = 32
"""The fewest targets of a block: fewer would read the items too often."""


def dot_product_cross_entropy(
    queries_ND: Tensor,
    items_CD: Tensor,
    labels_N: Tensor,
    weights_N: Tensor | None = None,
    *,
    log_q_C: Tensor | None = None,
) -> Tensor:
    """The summed negative log-likelihood of each query's target, scored by dot products.

    It equals :func:`softmax_cross_entropy` of ``queries_ND @ items_CD.T`` with ``reduction="sum"``. The
    gradients are computed in the forward pass, a block of targets at a time, in one buffer of logits, as in
    "Liger Kernel: Efficient Triton Kernels for LLM Training" (Hsu et al. 2024); they cannot be differentiated
    again. A block has 2 MiB of logits on a CPU, but at least 32 targets. torch 2.13 has a similar
    ``linear_cross_entropy``, which knows no weights of targets.

    It may be called in a model that TorchRec's train pipeline traces, and under autocast.

    Args:
        queries_ND: ``(N, D)`` float queries.
        items_CD: ``(C, D)`` float candidates.
        labels_N: ``(N,)`` int64 position of the target among the candidates; -1 leaves the query out.
        weights_N: ``(N,)`` weight of each target, or None for ones; it has no gradient.
        log_q_C: ``(S,)`` log-probability that a candidate is among the candidates, or None for zeros; it has
            no gradient. If S is below C, only the first S candidates compete with every target, the others
            with the queries of which they are the target; a target's own logit is then not corrected.

    Returns:
        A float32 scalar, float64 for float64 vectors.

    Raises:
        InputError: if a shape does not fit the queries; on a CPU also if a label is not a candidate; in the
            backward pass for ``create_graph=True``.

    Example:
        >>> queries, items = torch.zeros(2, 8, requires_grad=True), torch.zeros(4, 8)
        >>> dot_product_cross_entropy(queries, items, torch.tensor([3, -1])).item()
        1.3862943649291992
    """
    return _dot_product_cross_entropy(queries_ND, items_CD, labels_N, weights_N, log_q_C)


# torch.fx patches a wrapped function in the module that defines it, not where a user imports it to.
@torch.fx.wrap
def _dot_product_cross_entropy(
    queries_ND: Tensor,
    items_CD: Tensor,
    labels_N: Tensor,
    weights_N: Tensor | None,
    log_q_C: Tensor | None,
) -> Tensor:
    queries_ND, items_CD, counted_N = prepared(queries_ND, items_CD, labels_N, weights_N)
    expect_candidates(labels_N, len(items_CD))
    shared = len(items_CD) if log_q_C is None else len(log_q_C)
    if log_q_C is not None:
        expect_shape("log_q_C", log_q_C, (min(shared, len(items_CD)),))
    labels_N = labels_N.clamp(min=0)
    targets_ND = items_CD[labels_N] if shared < len(items_CD) else None
    with torch.autocast(queries_ND.device.type, enabled=False):
        loss: Tensor = _InBlocks.apply(
            queries_ND, items_CD[:shared], targets_ND, labels_N, counted_N, log_q_C, torch.is_grad_enabled()
        )
    return loss


def prepared(
    queries_ND: Tensor, items_CD: Tensor, labels_N: Tensor, weights_N: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and items in the precision of autocast, and the ``(N,)`` weights, 0 for labels of -1.

    Raises:
        InputError: if a shape does not fit the queries.
    """
    expect_shape("queries_ND", queries_ND, ("targets", "width"))
    rows, width = queries_ND.shape
    expect_shape("items_CD", items_CD, ("candidates", width))
    expect_shape("labels_N", labels_N, (rows,))
    counted_N = labels_N >= 0
    if weights_N is not None:
        expect_shape("weights_N", weights_N, (rows,))
        counted_N = weights_N * counted_N
    device = queries_ND.device.type
    if torch.is_autocast_enabled(device):
        narrow = torch.get_autocast_dtype(device)
        queries_ND, items_CD = queries_ND.to(narrow), items_CD.to(narrow)
    return queries_ND, items_CD, counted_N


class _InBlocks(torch.autograd.Function):
    """Sums the losses of targets among shared candidates, and among themselves if ``targets_ND`` is given."""

    @staticmethod
    def forward(
        ctx: Any,
        queries_ND: Tensor,
        items_CD: Tensor,
        targets_ND: Tensor | None,
        labels_N: Tensor,
        weights_N: Tensor,
        log_q_C: Tensor | None,
        differentiable: bool,
    ) -> Tensor:
        wide = torch.float64 if queries_ND.dtype == torch.float64 else torch.float32
        rows = max(1, min(rows_per_block(queries_ND.device.type, len(items_CD)), len(queries_ND)))
        shares = queries_ND.new_empty(rows, len(items_CD), dtype=wide)
        items_DC = items_CD.T.contiguous() if differentiable else items_CD
        # With few rows the sum of the items' gradients would be read and written too often.
        by_columns = rows > _ROWS and _by_onednn(items_CD)
        weights_N1, labels_N1 = weights_N.to(wide).unsqueeze(1), labels_N.unsqueeze(1)
        losses_N1 = torch.empty_like(weights_N1)
        of_queries = torch.empty_like(queries_ND)
        of_items = torch.zeros_like(items_DC if by_columns else items_CD, dtype=wide)
        of_targets = None if targets_ND is None else torch.empty_like(targets_ND)
        for first in range(0, len(queries_ND), rows):
            part = slice(first, first + rows)
            some_nD, target_n1, weights_n1 = queries_ND[part], labels_N1[part], weights_N1[part]
            logits_nC, shares_nC = linear(some_nD, items_CD).to(wide), shares[: len(some_nD)]
            if log_q_C is not None:
                logits_nC -= log_q_C
            if targets_ND is not None:
                _mask(logits_nC, target_n1)
            torch.softmax(logits_nC, 1, out=shares_nC)
            # the largest share cannot underflow, as the target's may
            log_sum_n1 = logits_nC.amax(1, keepdim=True) - shares_nC.amax(1, keepdim=True).log()
            if targets_ND is None:
                losses_N1[part] = log_sum_n1 - logits_nC.gather(1, target_n1)
                shares_nC.scatter_(1, target_n1, shares_nC.gather(1, target_n1) - 1)
            else:
                own_n1 = (some_nD * targets_ND[part]).sum(1, keepdim=True, dtype=wide)
                losses_N1[part] = loss_n1 = torch.logaddexp(log_sum_n1, own_n1) - own_n1
            if not differentiable:
                continue
            slopes_nC = shares_nC.to(items_CD.dtype)
            of_queries[part] = linear(slopes_nC, items_DC)
            if targets_ND is not None and of_targets is not None:
                slope_n1 = torch.expm1(-loss_n1) * weights_n1
                weights_n1 = -slope_n1  # of the others together
                of_targets[part] = some_nD * slope_n1
            of_queries[part] *= weights_n1
            if targets_ND is not None:
                of_queries[part] -= targets_ND[part] * weights_n1
            weighted_nD = (some_nD * weights_n1).to(items_CD.dtype)
            if by_columns:
                of_items += linear(weighted_nD.T.contiguous(), slopes_nC.T)
            elif of_items.dtype == items_CD.dtype:
                of_items.addmm_(slopes_nC.T, weighted_nD)
            else:
                of_items += slopes_nC.T @ weighted_nD
        of_items = of_items.T.contiguous() if by_columns else of_items
        ctx.save_for_backward(of_queries, of_items.to(items_CD.dtype), of_targets)
        return (losses_N1 * weights_N1).sum()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # once_differentiable would drop the second derivatives without a word
            raise InputError(
                "the gradients of dot_product_cross_entropy cannot be differentiated again, received "
                "create_graph=True; take softmax_cross_entropy of the logits"
            )
        scaled = (None if found is None else found * slope.to(found.dtype) for found in ctx.saved_tensors)
        return (*scaled, None, None, None, None)


def _mask(logits_NC: Tensor, labels_N1: Tensor) -> None:
    """Gives a target's logit among the shared candidates the lowest number."""
    shared = labels_N1 < logits_NC.shape[1]
    at_N1 = labels_N1.where(shared, 0)
    logits_NC.scatter_(1, at_N1, logits_NC.gather(1, at_N1).masked_fill(shared, _LOWEST))


def rows_per_block(device: str, candidates: int) -> int:
    """Targets whose logits are in memory at a time."""
    return max(_BLOCK.get(device, _LARGE_BLOCK) // candidates, _ROWS)


def linear(left_ND: Tensor, right_MD: Tensor) -> Tensor:
    """``left_ND @ right_MD.T``, in their dtype.

    On a CPU torch 2.13 multiplies float32 matrices with MKL, which uses no AVX-512 on processors of AMD. The
    operator of oneDNN that torch.compile uses does, and takes .5 to .8 of the time there.
    """
    if _by_onednn(left_ND) and len(left_ND):
        found: Tensor = torch.ops.mkldnn._linear_pointwise(left_ND, right_MD, None, "none", [], "")
        return found
    return functional.linear(left_ND, right_MD)


def _by_onednn(vectors: Tensor) -> bool:
    return _HAS_ONEDNN and vectors.dtype == torch.float32 and vectors.device.type == "cpu"
