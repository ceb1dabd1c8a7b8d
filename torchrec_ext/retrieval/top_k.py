"""The k best of each row, the same ones every time: equal scores go by the lower place."""

import numpy as np
import torch
from torch import Tensor

from torchrec_ext.errors import InputError


def exact_top_k(scores_QI: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k highest scores of each row, best first; of equal scores the lower place comes first.

    ``torch.topk`` alone leaves open which of several equal scores it returns.

    Args:
        scores_QI: (Q, I) floats; -inf means excluded.
        k: from 1 to I.

    Returns:
        (Q, k) scores and (Q, k) int64 places in the row. Where a row has fewer than k scores that are
        not excluded, its end is filled with score -inf and place -1.

    Raises:
        InputError: for a k out of range, or a NaN among the scores.

    Example:
        >>> scores, places = exact_top_k(torch.tensor([[1.0, 3.0, 2.0, 3.0]]), k=3)
        >>> scores.tolist(), places.tolist()
        ([[3.0, 3.0, 2.0]], [[1, 3, 2]])
    """
    columns = scores_QI.shape[1]
    if not 1 <= k <= columns:
        raise InputError(f"k is {k}, but there are {columns} scores in a row; choose k from 1 to {columns}")
    # The score after the last one shows whether the last one is tied with a score that is left out.
    taken, places = torch.topk(scores_QI, min(k + 1, columns))
    if taken[:, 0].isnan().any():  # topk counts a NaN as the highest
        raise InputError("there is a NaN among the scores; did training diverge?")
    if k < columns:
        last_Q = taken[:, k - 1]
        tied_Q = (last_Q == taken[:, k]) & (last_Q > -torch.inf)
        taken, places = taken[:, :k], places[:, :k]
        above_Q = (taken > last_Q[:, None]).sum(1)
        # Few rows as a rule, and one at a time, so that no second (Q, I) tensor is made.
        for row in tied_Q.nonzero()[:, 0].tolist():
            equal = (scores_QI[row] == last_Q[row]).nonzero()[:, 0]
            above = int(above_Q[row])
            places[row, above:] = equal[: k - above]
    places = places.sort(dim=1).values
    scores, order = scores_QI.gather(1, places).sort(dim=1, descending=True, stable=True)
    return scores, places.gather(1, order).masked_fill(scores == -torch.inf, -1)


def best_ids(scores_BI: Tensor, ids_I: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(B, k) best scores and their ids; -inf and -1 at the end of a row where items are too few."""
    found = min(k, scores_BI.shape[1])
    scores_Bk = scores_BI.new_full((len(scores_BI), k), -torch.inf)
    ids_Bk = ids_I.new_full((len(scores_BI), k), -1)
    if found:
        scores, places = exact_top_k(scores_BI, found)
        scores_Bk[:, :found] = scores
        ids_Bk[:, :found] = ids_I[places].masked_fill(places == -1, -1)
    return scores_Bk, ids_Bk


def best_above(scores_BC: Tensor, ids_C: Tensor, least_B: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """:func:`best_ids` on the CPU of rows whose k best are known to reach ``least_B``, with few others.

    A single row has no excluded item. NumPy's operators take a small part of the time of torch's where there
    is little to do.
    """
    scores, ids = scores_BC.numpy(), ids_C.numpy()
    if len(scores) == 1 and len(ids) >= k:
        best_k = (-scores[0]).argsort(kind="stable")[:k]
        return torch.from_numpy(scores[:, best_k]), torch.from_numpy(ids[None, best_k])
    rows_N, columns_N = (scores >= least_B.numpy()[:, None]).nonzero()
    scores_N = scores[rows_N, columns_N]
    order_N = np.lexsort((-scores_N, rows_N))  # stable, so equal scores stay in the order of ids
    places_N = np.arange(len(rows_N)) - rows_N.searchsorted(np.arange(len(scores)))[rows_N]
    best_N = places_N < k
    where = rows_N[best_N], places_N[best_N]
    scores_Bk, ids_Bk = np.full((len(scores), k), -np.inf, np.float32), np.full((len(scores), k), -1)
    scores_Bk[where] = scores_N[order_N[best_N]]
    ids_Bk[where] = ids[columns_N[order_N[best_N]]]
    return torch.from_numpy(scores_Bk), torch.from_numpy(ids_Bk)
