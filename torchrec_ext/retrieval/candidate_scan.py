"""CandidateScan: a fast pass on the CPU that leaves few items, among which are the k best of each query."""

import torch
from torch import Tensor

_BLOCK = 2**18
"""Scores at a time: they stay in the processor's cache."""
_MOST_ROWS, _GROUP = 64, 16
_LARGEST_SCORE = 1e30


class CandidateScan:
    """Scores all items block by block, in bfloat16 where the processor multiplies it, and keeps group maxima.

    The k-th largest maximum of a query is a threshold that at least k items reach. Scores are within a known
    error of the float32 ones, so an item of the float32 list is in a group whose maximum is at most twice
    that error below the threshold. Only the items of such groups need float32 scores. The bfloat16 copy of
    the vectors takes half their memory.

    Args:
        vectors_ID: ``(I, D)`` float32 item vectors on the CPU.

    Example:
        >>> vectors = torch.arange(40.0)[:, None]
        >>> scan = CandidateScan(vectors)
        >>> nothing = torch.empty(0, dtype=torch.int64)
        >>> scan.candidates(torch.tensor([[1.0]]), 1, nothing, nothing)
        tensor([11, 25, 39])
    """

    def __init__(self, vectors_ID: Tensor) -> None:
        # Errors relative to the product of norms: operands and result are rounded to 8 bits in bfloat16;
        # each of the two sums, of the scan and of the final scores, adds a rounding per term.
        fast = has_fast_bfloat16()
        self._error = (3.1 * 2.0**-9 if fast else 0.0) + (vectors_ID.shape[1] + 8) * 2.0**-22
        self._largest_norm = float(torch.linalg.vector_norm(vectors_ID, dim=1).max())
        self._vectors_ID = vectors_ID.bfloat16() if fast else vectors_ID

    def rows_at_once(self, k: int, queries_BD: Tensor) -> int:
        """Number of queries that :meth:`candidates` takes at a time; 0 if k is too large for the scan."""
        interests = queries_BD.shape[1] if queries_BD.dim() == 3 else 1
        fitting = len(self._vectors_ID) // (3 * _GROUP * k)
        return min(fitting, max(1, _MOST_ROWS // interests))

    def pays(self, k: int, queries_BD: Tensor) -> bool:
        """Whether enough queries fit at a time."""
        interests = queries_BD.shape[1] if queries_BD.dim() == 3 else 1
        enough = min(len(queries_BD), max(1, _MOST_ROWS // (2 * interests)))
        return self.rows_at_once(k, queries_BD) >= enough

    @torch.no_grad()
    def candidates(self, queries_BD: Tensor, k: int, rows_N: Tensor, places_N: Tensor) -> Tensor | None:
        """Places of items among which are the k best of each query.

        Args:
            queries_BD: ``(B, D)`` or ``(B, K, D)`` float32 queries, as many as :meth:`rows_at_once`.
            k: length of the lists.
            rows_N: ``(N,)`` int64 queries of the items that are excluded.
            places_N: ``(N,)`` int64 places of these items.

        Returns:
            ``(C,)`` int64 ascending places; None if they would be most items, or scores may overflow.
        """
        queries_BKD = queries_BD if queries_BD.dim() == 3 else queries_BD[:, None]
        batch, interests, _ = queries_BKD.shape
        items = len(self._vectors_ID)
        norms_B = torch.linalg.vector_norm(queries_BKD, dim=2).amax(1)
        if not float(norms_B.max()) * self._largest_norm < _LARGEST_SCORE:
            return None
        # Small groups where there are many lists, so that the candidates stay a small part of the items.
        group = max(2, min(_GROUP, items // (12 * batch * k)))
        width = max(64, _BLOCK // (batch * interests * group))
        maxima_BG = self._group_maxima(queries_BKD, group, width, rows_N, places_N)
        margin_B = 2 * self._error * norms_B * self._largest_norm + 1e-30
        threshold_B = maxima_BG.topk(k, dim=1).values[:, -1] - margin_B
        threshold_B.clamp_(min=torch.finfo(torch.float32).min)  # a group without items left has -inf
        groups_C = (maxima_BG - threshold_B[:, None]).amax(0).ge(0).nonzero()
        if len(groups_C) * group > items // 2:
            return None
        # Of a block of `group * width` items, group j has the items j, j + width, j + 2 * width, ...
        block_C = groups_C // width
        last = (items - 1) // (group * width)
        last_width = -(-(items - last * group * width) // group)
        step_C = torch.where(block_C == last, last_width, width)
        places = block_C * group * width + groups_C % width + step_C * torch.arange(group)
        return places[places < items].sort().values

    def _group_maxima(
        self, queries_BKD: Tensor, group: int, width: int, rows_N: Tensor, places_N: Tensor
    ) -> Tensor:
        """(B, G) float32 largest score of each group of items."""
        batch, interests, dim = queries_BKD.shape
        queries_MD = queries_BKD.reshape(batch * interests, dim).to(self._vectors_ID.dtype)
        places_N, order_N = places_N.sort()
        rows_N = rows_N[order_N]
        blocks = self._vectors_ID.split(group * width)
        bounds = torch.arange(len(blocks) + 1) * group * width
        cuts = torch.searchsorted(places_N, bounds).tolist()
        maxima = []
        for number, block in enumerate(blocks):
            scores_BN = (queries_MD @ block.T).float()
            if interests > 1:
                scores_BN = scores_BN.view(batch, interests, -1).amax(1)
            excluded = slice(cuts[number], cuts[number + 1])
            if excluded.start < excluded.stop:
                scores_BN[rows_N[excluded], places_N[excluded] - number * group * width] = -torch.inf
            if missing := -len(block) % group:
                scores_BN = torch.nn.functional.pad(scores_BN, (0, missing), value=-torch.inf)
            maxima.append(scores_BN.view(batch, group, -1).amax(1))
        return torch.cat(maxima, dim=1)


def has_fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself, as far as torch knows."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def padded_rows(vectors_ID: Tensor, places_C: Tensor) -> Tensor:
    """Rows, and zeros up to a multiple of 64: BLAS adds up the products of the last few in another order."""
    rows = vectors_ID.new_zeros(-(-len(places_C) // 64) * 64, vectors_ID.shape[1])
    torch.index_select(vectors_ID, 0, places_C, out=rows[: len(places_C)])
    return rows
