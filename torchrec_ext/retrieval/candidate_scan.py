"""CandidateScan: a fast pass on the CPU that leaves few items, among which are the k best of each query."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

_BLOCK, _MOST_ROWS = 2**16, 32
"""Items and queries at a time: few enough that their scores stay in the processor's cache."""
_WIDEST_GROUP = 32
_LARGEST_SCORE = 1e30
_SMALLEST_NORM = 1e-15
"""The squares of much smaller numbers are 0 in float32, and so would be the norm and the error."""
_LARGEST_HALF_NORM = 2**14
"""Far from the largest float16, 65,504, and from those that have fewer bits."""


class CandidateScan:
    """Scores all items in blocks, from vectors in float16 where torch has FBGEMM.

    The k-th largest of the maxima of groups of items is a score that at least k items reach. Scores are
    within a known error of the float32 ones, so an item of the float32 list is at most twice that error
    below it. Only such items need float32 scores. The float16 copy of the vectors takes half their memory;
    products and sums are float32.

    Args:
        vectors_ID: ``(I, D)`` float32 item vectors on the CPU.

    Example:
        >>> vectors = torch.arange(40.0)[:, None]
        >>> scan = CandidateScan(vectors)
        >>> nothing = torch.empty(0, dtype=torch.int64)
        >>> scan.candidates(torch.tensor([[1.0]]), 1, nothing, nothing)[0]
        tensor([38, 39])
    """

    def __init__(self, vectors_ID: Tensor) -> None:
        self._items, dim = vectors_ID.shape
        self._largest_norm = float(torch.linalg.vector_norm(vectors_ID, dim=1).max())
        half = has_half_products() and 1 / _LARGEST_SCORE < self._largest_norm < _LARGEST_SCORE
        # Errors relative to the product of norms: an operand is rounded to 11 bits in float16; each of the
        # two sums, of the scan and of the final scores, adds a rounding per term.
        self._error = (1.01 * 2.0**-11 if half else 0.0) + (dim + 8) * 2.0**-22
        # A power of two, so that scaling does not round.
        self._scale = 2.0 ** math.floor(math.log2(_LARGEST_HALF_NORM / self._largest_norm)) if half else 1.0
        blocks = vectors_ID.split(_BLOCK)
        self._products: list[Callable[[Tensor], Tensor]] = [
            _half_product(block * self._scale) if half else partial(_product, block) for block in blocks
        ]

    def rows_at_once(self, k: int, queries_BD: Tensor) -> int:
        """Number of queries that :meth:`candidates` takes at a time; 0 if k is too large for the scan."""
        interests = queries_BD.shape[1] if queries_BD.dim() == 3 else 1
        return min(self._items // (12 * k), max(1, _MOST_ROWS // interests))

    def pays(self, k: int, queries_BD: Tensor) -> bool:
        """Whether enough queries fit at a time."""
        interests = queries_BD.shape[1] if queries_BD.dim() == 3 else 1
        enough = min(len(queries_BD), max(1, _MOST_ROWS // (2 * interests)))
        return self.rows_at_once(k, queries_BD) >= enough

    def candidates(
        self, queries_BD: Tensor, k: int, rows_N: Tensor, places_N: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """Places of items among which are the k best of each query.

        Args:
            queries_BD: ``(B, D)`` or ``(B, K, D)`` float32 queries, as many as :meth:`rows_at_once`.
            k: length of the lists.
            rows_N: ``(N,)`` int64 queries of the items that are excluded.
            places_N: ``(N,)`` int64 places of these items.

        Returns:
            ``(C,)`` int64 ascending places, and ``(B,)`` a float32 score that the k best of each query
            reach; None if the places would be most items, or scores may overflow or underflow.
        """
        queries = queries_BD.detach().numpy()
        queries_BKD = queries if queries.ndim == 3 else queries[:, None]
        norms_B = np.sqrt(np.einsum("bkd,bkd->bk", queries_BKD, queries_BKD)).max(axis=1)
        # which none of them is that is NaN
        if not min(float(norms_B.min()), self._largest_norm) > _SMALLEST_NORM:
            return None
        if not float(norms_B.max()) * self._largest_norm < _LARGEST_SCORE:
            return None
        group = min(_WIDEST_GROUP, self._items // (12 * k))
        blocks, maxima = [], []
        for scores_BN in self._scores(queries_BKD, rows_N.numpy(), places_N.numpy()):
            batch, items = scores_BN.shape
            grouped = scores_BN[:, : items // group * group].reshape(batch, group, items // group)
            maxima.append(grouped.max(axis=1))
            blocks.append(scores_BN)
        maxima_BG = np.concatenate(maxima, axis=1)
        maxima_BG.partition(maxima_BG.shape[1] - k, axis=1)
        least_B = maxima_BG[:, -k] - np.float32(2 * self._error * self._largest_norm) * norms_B
        least_B = np.maximum(least_B - np.float32(1e-30), -_LARGEST_SCORE)  # excluded items have -inf
        if batch == 1:
            reached = [scores_BN[0] >= least_B[0] for scores_BN in blocks]
        else:
            reached = [(scores_BN >= least_B[:, None]).any(axis=0) for scores_BN in blocks]
        places_C = np.concatenate(reached).nonzero()[0]
        if len(places_C) > self._items // 2:
            return None
        return torch.from_numpy(places_C), torch.from_numpy(least_B)

    def _scores(
        self, queries_BKD: np.ndarray, rows_N: np.ndarray, places_N: np.ndarray
    ) -> Iterator[np.ndarray]:
        """(B, N) float32 scores of each block of items."""
        batch, interests, dim = queries_BKD.shape
        queries_MD = torch.from_numpy(queries_BKD.reshape(-1, dim) / np.float32(self._scale))
        for number, product in enumerate(self._products):
            scores_BN = product(queries_MD).numpy()
            if interests > 1:
                scores_BN = scores_BN.reshape(batch, interests, -1).max(axis=1)
            if len(places_N):
                here_N = places_N // _BLOCK == number
                scores_BN[rows_N[here_N], places_N[here_N] % _BLOCK] = -np.inf
            yield scores_BN


def has_half_products() -> bool:
    """Whether torch multiplies float32 by packed float16 weights, with FBGEMM."""
    return torch.backends.quantized.engine in ("fbgemm", "x86")


def _half_product(vectors_ID: Tensor) -> Callable[[Tensor], Tensor]:
    packed = torch.ops.quantized.linear_prepack_fp16(vectors_ID, None)
    return partial(torch.ops.quantized.linear_dynamic_fp16, W_prepack=packed)


def _product(vectors_ID: Tensor, queries_MD: Tensor) -> Tensor:
    return queries_MD @ vectors_ID.T


def padded_rows(vectors_ID: Tensor, places_C: Tensor) -> Tensor:
    """Rows, and zeros up to a multiple of 64: BLAS adds up the products of the last few in another order."""
    rows = vectors_ID.new_zeros(-(-len(places_C) // 64) * 64, vectors_ID.shape[1])
    torch.index_select(vectors_ID, 0, places_C, out=rows[: len(places_C)])
    return rows
