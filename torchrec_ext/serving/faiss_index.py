"""FaissIndex: approximate top-N lists of one process, by a graph or by clusters of FAISS."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from torchrec_ext.checks import expect_one_of, expect_whole
from torchrec_ext.contracts import Exclusions, Scorer
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.index_inputs import expect_k, expect_queries, index_vectors, ordered_items
from torchrec_ext.retrieval.jagged_ids import as_jagged, find_sorted, rows_and_ids
from torchrec_ext.serving.faiss_clusters import (
    build_clusters,
    cluster_arrays,
    restore_clusters,
    search_clusters,
)
from torchrec_ext.serving.faiss_graph import build_graph, graph_arrays, restore_graph, search_graph
from torchrec_ext.serving.recall import share_found

log = logging.getLogger(__name__)

Kind = Literal["hnsw", "ivf"]
SETTINGS = ("kind", "neighbours", "ef_construction", "ef_search", "clusters", "probes", "seed")
"""Arguments that decide what is built and found, apart from the scorer."""
_MOST_EXTRA = 1024
"""Items that the first search asks for beyond k, in place of those that are excluded."""
_SAMPLE, _ROWS = 200, 64


class FaissIndex:
    """Finds nearly the same lists as :class:`~torchrec_ext.retrieval.ExactIndex`, of many items in less time.

    The largest dot product is the smallest distance once every item has a further coordinate that makes all
    norms equal ("Speeding Up the Xbox Recommender System Using a Euclidean Transformation for Inner-Product
    Spaces", Bachrach et al. 2014); FAISS finds neighbours by distance with a higher recall. Scores are
    computed from the vectors, which the index keeps too: it takes twice the memory of the vectors, and
    with ``hnsw`` the links, ``8 * neighbours`` bytes an item. A model's items are indexed by
    ``trained.build_index(index=FaissIndex("hnsw", trained.module.scorer))``.

    A list is full as long as items are left: one that exclusions leave short is searched exactly. With one
    thread a build gives the same index each time. Several are faster, but they link the items of a graph in
    any order, so that its lists may differ from build to build.

    Args:
        kind: ``hnsw``, a graph of neighbours (slow to build, fast), or ``ivf``, clusters (fast to build).
        scorer: of queries and items, which must be indexable; None for the dot product.
        neighbours: links of an item (M), at least 2; the bottom layer has twice as many.
        ef_construction: candidates that an item's links are chosen from.
        ef_search: candidates of a query, at least k; more is slower and finds more. None takes 64, 128 from
            100 thousand items on, and 768 from a million on; see ``recall``.
        clusters: of ``ivf``; None takes four times the root of the number of items.
        probes: clusters that a query visits; None takes a twentieth of the clusters, at least 8.
        seed: of levels and clusters.
        build_threads: see above.
        queries: ``(Q, D)`` or ``(Q, K, D)`` queries of users, whose recall is measured at each build; None
            takes 200 item vectors.
        arrays: ``index.arrays`` of an index with the same items and settings, which :meth:`build` takes up
            in seconds, with the same lists, instead of computing and measuring.

    Raises:
        InputError: if faiss is not installed, the scorer is not indexable, or an argument is out of range.
    """

    def __init__(
        self,
        kind: Kind = "hnsw",
        scorer: Scorer | None = None,
        *,
        neighbours: int = 16,
        ef_construction: int = 100,
        ef_search: int | None = None,
        clusters: int | None = None,
        probes: int | None = None,
        seed: int = 0,
        build_threads: int = 1,
        queries: Tensor | None = None,
        arrays: Mapping[str, Tensor] | None = None,
    ) -> None:
        expect_one_of("kind", kind, get_args(Kind))
        if scorer is not None and not scorer.indexable:
            raise InputError(
                f"{type(scorer).__name__} is not indexable: its scores are not dot products, which FAISS "
                "searches by; use ExactIndex, or train with a scorer such as dot or cosine"
            )
        expect_whole(1, ef_construction=ef_construction, build_threads=build_threads)
        optional = {"ef_search": ef_search, "clusters": clusters, "probes": probes}
        expect_whole(1, **{name: value for name, value in optional.items() if value is not None})
        expect_whole(2, neighbours=neighbours)
        expect_whole(0, seed=seed)
        self._faiss, self._stored = _faiss(), arrays
        self.kind, self.scorer = kind, scorer
        self.neighbours, self.ef_construction, self.ef_search = neighbours, ef_construction, ef_search
        self.clusters, self.probes = clusters, probes
        self.seed, self.build_threads, self.queries = seed, build_threads, queries
        self.items = 0
        self.recall: dict[str, float] = {}
        """Of the last build: ``recall@10`` and ``recall@100``, of fewer items at their number."""

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments named in ``SETTINGS``."""
        return {name: getattr(self, name) for name in SETTINGS}

    @property
    def arrays(self) -> dict[str, Tensor]:
        """What was built, without the vectors: links of a graph, or clusters; for the argument ``arrays``."""
        expect_k(1, self.items)
        return graph_arrays(self._index) if self.kind == "hnsw" else cluster_arrays(self._index)

    @torch.no_grad()
    def build(self, vectors_ID: Tensor, ids_I: Tensor) -> None:
        """Indexes items, and measures and logs the recall.

        Args:
            vectors_ID: ``(I, D)`` float item vectors, at least one.
            ids_I: ``(I,)`` int64 ids, none below 0, each once.

        Raises:
            InputError: if ids, vectors, arrays or the queries of the recall do not fit, a vector is not
                finite, or there are several processes.
        """
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            raise InputError("FaissIndex holds the items of one process, received several; use ExactIndex")
        items_ID, ids_I = ordered_items(vectors_ID.cpu(), ids_I.cpu())
        expect_k(1, len(ids_I))  # at least one item
        vectors_ID = index_vectors(self.scorer, items_ID)
        exact = ExactIndex()
        exact.build(vectors_ID, ids_I)
        norms_I = torch.linalg.vector_norm(vectors_ID.double(), dim=1)
        if norms_I.isinf().any():
            raise InputError("there is an infinite number among the item vectors; did training diverge?")
        missing_I = (norms_I.max() ** 2 - norms_I**2).clamp(min=0).sqrt().float()
        wanted = self._exact_lists(items_ID, ids_I) if self._stored is None else None  # before the slow step
        with self._threads():
            self._index = self._filled(torch.cat([vectors_ID, missing_I[:, None]], 1).numpy())
        self._vectors_ID, self._ids_I, self._exact, self.items = vectors_ID, ids_I, exact, len(ids_I)
        if wanted is not None:
            self._measure(*wanted)

    def search(self, queries_BD: Tensor, k: int, exclude: Exclusions | None = None) -> tuple[Tensor, Tensor]:
        """Nearly the k best items of each query; arguments and results as those of ``ExactIndex.search``."""
        expect_k(k, self.items)
        expect_queries(queries_BD)
        queries_BD = index_vectors(self.scorer, queries_BD.detach().cpu())
        if queries_BD.shape[-1] != self._vectors_ID.shape[1]:
            raise InputError(
                f"queries are {queries_BD.shape[-1]} wide, but items {self._vectors_ID.shape[1]}; "
                "a dot product needs the same width"
            )
        left_out = as_jagged(exclude, len(queries_BD), "exclude", queries_BD.device)
        queries_BKD = queries_BD if queries_BD.dim() == 3 else queries_BD[:, None]
        scores_Bk = queries_BKD.new_empty(len(queries_BD), k)
        ids_Bk = self._ids_I.new_empty(len(queries_BD), k)
        for start in range(0, len(queries_BD), _ROWS):
            some = slice(start, start + _ROWS)
            rows, ids = rows_and_ids(left_out, start, min(start + _ROWS, len(queries_BD)))
            scores_Bk[some], ids_Bk[some] = self._search(queries_BKD[some], k, rows, ids)
        return scores_Bk, ids_Bk

    def _search(self, queries_BKD: Tensor, k: int, rows_N: Tensor, ids_N: Tensor) -> tuple[Tensor, Tensor]:
        """The lists of a few queries without the ids that are excluded in rows."""
        places_N, here_N = find_sorted(self._ids_I, ids_N)
        excluded_N = (rows_N * self.items + places_N)[here_N].unique()
        excluded_B = torch.bincount(excluded_N // self.items, minlength=len(queries_BKD))
        wanted_B = (self.items - excluded_B).clamp(max=k)
        found = min(k + min(int(excluded_B.max()), _MOST_EXTRA), self.items)
        places_BF = self._nearest(queries_BKD, found)
        # ascending, so that of equal scores the lower id comes first
        places_BF = places_BF.sort(dim=1).values
        keys_BF = places_BF + self.items * torch.arange(len(queries_BKD))[:, None]
        missing_BF = (places_BF < 0) | torch.isin(keys_BF, excluded_N)
        missing_BF[:, 1:] |= places_BF[:, 1:] == places_BF[:, :-1]
        vectors_BFD = self._vectors_ID[places_BF.clamp(min=0)]
        scores_BF = (queries_BKD @ vectors_BFD.transpose(1, 2)).amax(1).masked_fill(missing_BF, -torch.inf)
        scores_BF, order_BF = scores_BF.sort(dim=1, descending=True, stable=True)
        scores_Bk = scores_BF[:, :k]
        ids_Bk = self._ids_I[places_BF.gather(1, order_BF)[:, :k]].masked_fill(scores_Bk == -torch.inf, -1)
        short = ((ids_Bk >= 0).sum(1) < wanted_B).nonzero()[:, 0]
        if len(short):
            again = [ids_N[rows_N == row] for row in short]
            scores_Bk[short], ids_Bk[short] = self._exact.search(queries_BKD[short], k, again)
        return scores_Bk, ids_Bk

    def _nearest(self, queries_BKD: Tensor, count: int) -> Tensor:
        """(B, K * count) places of the nearest items of each interest; -1 where FAISS found fewer."""
        batch, interests, dim = queries_BKD.shape
        queries_MX = np.zeros((batch * interests, dim + 1), np.float32)
        queries_MX[:, :dim] = queries_BKD.reshape(-1, dim).numpy()
        if self.kind == "hnsw":
            places = search_graph(self._index, queries_MX, count, self.ef_search)
        else:
            places = search_clusters(self._index, queries_MX, count, self.probes)
        return torch.from_numpy(places).view(batch, interests * count)

    def _filled(self, vectors_IX: np.ndarray) -> Any:
        """The FAISS index of ``(I, D + 1)`` vectors."""
        if self.kind == "ivf":
            if self._stored is None:
                return build_clusters(vectors_IX, self.clusters, self.seed)
            return restore_clusters(vectors_IX, self._stored)
        if self._stored is None:
            return build_graph(vectors_IX, self.neighbours, self.ef_construction, self.seed)
        return restore_graph(vectors_IX, self.neighbours, self._stored)

    def _exact_lists(self, items_ID: Tensor, ids_I: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """The queries that recall is measured on, and their lists by length."""
        queries = self.queries
        if queries is None:
            generator = torch.Generator().manual_seed(self.seed)
            queries = items_ID[torch.randperm(len(items_ID), generator=generator)[:_SAMPLE]]
        exact = ExactIndex(self.scorer)  # of its own, since searches of many queries allocate memory
        exact.build(items_ID, ids_I)
        lengths = sorted({min(k, len(ids_I)) for k in (10, 100)})
        return queries, {k: exact.search(queries, k)[1] for k in lengths}

    def _measure(self, queries: Tensor, wanted: dict[int, Tensor]) -> None:
        began = time.perf_counter()
        lists = {k: self.search(queries, k)[1] for k in wanted}
        per_query = 1000 * (time.perf_counter() - began) / (len(lists) * len(queries))
        self.recall = {f"recall@{k}": share_found(wanted[k], found) for k, found in lists.items()}
        figures = ", ".join(f"{name} {value:.3f}" for name, value in self.recall.items())
        log.info("%s of %d items: %s, %.2f ms a query", self.kind, self.items, figures, per_query)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """FAISS keeps one number of threads for the whole process."""
        before = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(self.build_threads)
        try:
            yield
        finally:
            self._faiss.omp_set_num_threads(before)


def _faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise InputError(
            "faiss is not installed; run pip install 'torchrec-ext[faiss]', or use ExactIndex"
        ) from error
    return faiss
