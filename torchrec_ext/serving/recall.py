"""recall(): how much of the exact lists an approximate index finds."""

from collections.abc import Sequence

from torch import Tensor

from torchrec_ext import contracts
from torchrec_ext.contracts import Exclusions


def recall(
    index: contracts.Index,
    exact: contracts.Index,
    queries_BD: Tensor,
    ks: Sequence[int] = (10, 100),
    exclude: Exclusions | None = None,
) -> dict[str, float]:
    """The mean share of each exact list that an index finds.

    Items whose scores are tied with the last one of the exact list count only if they are in it.

    Args:
        index: an approximate one.
        exact: of the same items.
        queries_BD: ``(B, D)`` or ``(B, K, D)`` queries, at least one; of real users if there are any.
        ks: lengths of lists, at most the number of items.
        exclude: ids that must not be in a list, as ``search`` takes them.

    Returns:
        ``recall@k`` by name, between 0 and 1.

    Example:
        >>> import torch
        >>> from torchrec_ext.retrieval import ExactIndex
        >>> exact, half = ExactIndex(), ExactIndex()
        >>> exact.build(torch.arange(4.0)[:, None], torch.arange(4))
        >>> half.build(torch.arange(0, 4.0, 2)[:, None], torch.tensor([0, 2]))
        >>> recall(half, exact, torch.ones(1, 1), ks=(2,))
        {'recall@2': 0.5}
    """
    found = {}
    for k in ks:
        wanted_Bk = exact.search(queries_BD, k, exclude)[1]
        found_Bk = index.search(queries_BD, k, exclude)[1]
        found[f"recall@{k}"] = share_found(wanted_Bk, found_Bk)
    return found


def share_found(wanted_Bk: Tensor, found_Bk: Tensor) -> float:
    """The share of the wanted ids that are in the list of the same row; -1 counts neither way."""
    hits = (wanted_Bk[:, :, None] == found_Bk[:, None]).any(2) & (wanted_Bk >= 0)
    return float(hits.sum() / (wanted_Bk >= 0).sum().clamp(min=1))
