"""Searches: how a retriever, a ranker and popularity find the best items of requests."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from torchrec_ext import contracts
from torchrec_ext.data.batching.batches import Batcher, Context, take_context
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.retrieval.encode import build_index, encode_users
from torchrec_ext.retrieval.popular import popular_index
from torchrec_ext.retrieval.ragged import Ragged
from torchrec_ext.retrieval.rank_candidates import rank_candidates
from torchrec_ext.retrieval.requests import Requests

TopK: TypeAlias = tuple[np.ndarray, np.ndarray]
"""(B, k) float32 scores, best first, and (B, k) int64 item rows; -1 where a list has ended."""

Search: TypeAlias = Callable[[np.ndarray, int, Ragged], TopK]
"""(B,) int64 positions of requests, k, and the item rows that each of them must not get, to their lists."""


def retriever_search(
    model: contracts.Retriever,
    batcher: Batcher,
    requests: Requests,
    context: Context,
    rows: np.ndarray,
    index: contracts.Index | None,
) -> Search:
    """Searches an index with the queries of the requests.

    Args:
        model: a sharded retriever.
        batcher: of the model's inputs and the known events.
        requests: who asks.
        context: values of the context features for each request.
        rows: (C,) int64 ascending item rows that at least one request may get.
        index: one that is there; None indexes ``rows``.
    """
    searched = build_index(model, batcher, rows) if index is None else index

    def search(positions: np.ndarray, k: int, left_out: Ragged) -> TopK:
        own = take_context(context, positions)
        return _search(searched, encode_users(model, batcher, requests.users[positions], own), k, left_out)

    return search


def ranker_search(
    model: contracts.Ranker, batcher: Batcher, requests: Requests, context: Context, rows: np.ndarray
) -> Search:
    """Scores every item that a request may get; arguments as in :func:`retriever_search`."""

    def search(positions: np.ndarray, k: int, left_out: Ragged) -> TopK:
        own = take_context(context, positions)
        return rank_candidates(model, batcher, rows, requests.users[positions], k, left_out, own)

    return search


def popular_search(log: EventLog, rows: np.ndarray) -> Search:
    """Finds the items with most events in a log, the same for everybody but for what is left out."""
    index = popular_index(log, rows)
    return lambda positions, k, left_out: _search(index, torch.ones(len(positions), 1), k, left_out)


def _search(index: contracts.Index, queries: Tensor, k: int, left_out: Ragged) -> TopK:
    exclude = torch.from_numpy(left_out.values), torch.from_numpy(left_out.offsets)
    scores, rows = index.search(queries, k, exclude)
    return scores.cpu().numpy(), rows.cpu().numpy()
