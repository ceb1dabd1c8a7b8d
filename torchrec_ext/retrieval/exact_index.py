"""Exact top-N over a catalogue whose items are spread over the ranks, and never gathered on one."""

import torch
import torch.distributed as dist
from torch import Tensor

from torchrec_ext.contracts import Exclusions, Scorer
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.candidate_scan import CandidateScan, padded_rows
from torchrec_ext.retrieval.index_inputs import expect_k, expect_queries, index_vectors, ordered_items
from torchrec_ext.retrieval.jagged_ids import Jagged, as_jagged, find_sorted, rows_and_ids
from torchrec_ext.retrieval.top_k import best_above, best_ids

_LEAST_SCORES, _LEAST_NUMBERS = 2**19, 2**22
"""Scores, or numbers in the vectors, from which on narrowing the catalogue down pays: fewer stay in the
processor's cache."""
_CACHED_SCORES = 2**20
"""Scores that are computed at a time, so that the processor's cache holds them until they are ranked."""
_LEAST_ROWS = 64
"""Queries at a time that matrix products need for their speed."""


class ExactIndex:
    """Scores every item for every query: each rank its own slice, of which only the k best travel.

    One order stands behind lists and ranks alike: higher score first, then lower id. ``build``,
    ``search``, ``ranks_of`` and ``search_and_rank`` are collective, so every rank of the group
    calls them, with the same queries, and gets the same answer. Without a process group the one
    process holds the whole catalogue. Scores are float32, under autocast too.

    On the CPU, ``search`` by a dot product or an indexable scorer first narrows a large catalogue down by a
    :class:`~torchrec_ext.retrieval.candidate_scan.CandidateScan`, and scores what is left in float32.

    Args:
        scorer: scores queries against items; None for the dot product. The index neither moves it to
            a device nor switches off its dropout. Of an indexable one it keeps the ``index_vectors`` that the
            items have when it is built.
        block: how many scores a rank holds at a time (2**24 are 64 MiB; twice that for a scorer or several
            interests); queries are taken as many at a time as fit, though one at least.
        process_group: the ranks that share the catalogue; None for all of them.

    Example:
        >>> index = ExactIndex()
        >>> index.build(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), torch.tensor([7, 8, 9]))
        >>> scores, ids = index.search(torch.tensor([[2.0, 1.0]]), k=2)
        >>> scores.tolist(), ids.tolist()
        ([[2.0, 2.0]], [[7, 9]])
    """

    def __init__(
        self,
        scorer: Scorer | None = None,
        block: int = 2**24,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        self.scorer = scorer
        self._dot = scorer is None or scorer.indexable
        self.block = block
        self.process_group = process_group
        self.items = 0

    def build(self, vectors_ID: Tensor, ids_I: Tensor) -> None:
        """Takes this rank's slice of the catalogue, which may be any, an empty one too.

        Args:
            vectors_ID: (I, D) item vectors; they are copied only if they are not float32 or their ids
                do not rise.
            ids_I: (I,) int64 ids, none below 0, each on one rank and there once.

        Raises:
            InputError: if ids are negative or repeated in the slice, their number is not that of the
                vectors, or there is a NaN among the vectors of any rank.
        """
        vectors_ID, ids_I = ordered_items(vectors_ID, ids_I)
        self._vectors_ID, self._ids_I = index_vectors(self.scorer, vectors_ID), ids_I
        self._scan: CandidateScan | None = None
        # every rank must hear of a NaN on one of them, or the others wait for it
        nan = int(self._vectors_ID.isnan().any())
        sizes = torch.tensor([len(ids_I), len(ids_I), nan], device=ids_I.device)
        if self._ranks() > 1:
            dist.all_reduce(sizes[:1], dist.ReduceOp.SUM, group=self.process_group)
            dist.all_reduce(sizes[1:], dist.ReduceOp.MAX, group=self.process_group)
        self.items, self._largest_slice, nan = sizes.tolist()
        if nan:
            raise InputError("there is a NaN among the item vectors; did training diverge?")

    def search(self, queries_BD: Tensor, k: int, exclude: Exclusions | None = None) -> tuple[Tensor, Tensor]:
        """The k best items of each query.

        Args:
            queries_BD: (B, D), or (B, K, D) of which an item's best score counts.
            k: from 1 to the number of items on all ranks together.
            exclude: ids that must not come back: for each query a list or an int64 tensor, such as
                ``[[1, 2], []]`` for two queries; or :data:`Jagged`. Ids that are not in the catalogue are
                passed over.

        Returns:
            (B, k) float32 scores, best first, and (B, k) int64 ids; -inf and -1 at the end of a row
            where fewer than k items are left.

        Raises:
            InputError: if the index has no items, k is out of range, or queries or exclusions do not fit.
        """
        expect_k(k, self.items)
        return self._one_pass(queries_BD, k, None, exclude)[:2]

    def ranks_of(self, queries_BD: Tensor, targets: Jagged, exclude: Exclusions | None = None) -> Tensor:
        """The place of each target among all items of the catalogue that are not excluded.

        Other targets of the query count like any item.

        Args:
            queries_BD: as in :meth:`search`.
            targets: ids whose place is wanted.
            exclude: as in :meth:`search`.

        Returns:
            (N,) int64 ranks from 1; 0 where the target is excluded or not in the catalogue.
        """
        return self._one_pass(queries_BD, 0, targets, exclude)[2][:, 0]

    def search_and_rank(
        self, queries_BD: Tensor, k: int, targets: Jagged, exclude: Exclusions | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """:meth:`search` and :meth:`ranks_of` for the price of scoring once.

        Returns:
            (B, k) scores, (B, k) ids and (N,) ranks, where a target of rank r <= k stands in column r - 1;
            and (N, 2) int64 first and last rank of the items that have the target's score, 0 where its rank
            is 0. They differ where the order of ids decides about the rank.
        """
        expect_k(k, self.items)
        scores, ids, ranks = self._one_pass(queries_BD, k, targets, exclude)
        return scores, ids, ranks[:, 0], ranks[:, 1:]

    @torch.no_grad()
    def _one_pass(
        self, queries_BD: Tensor, k: int, targets: Jagged | None, exclude: Exclusions | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if not self.items:
            raise InputError("the index has no items; build() it from at least one")
        device, queries = self._vectors_ID.device, len(queries_BD)
        expect_queries(queries_BD)
        queries_BD = index_vectors(self.scorer, queries_BD.to(device))
        if self._dot and queries_BD.shape[-1] != self._vectors_ID.shape[1]:
            raise InputError(
                f"queries are {queries_BD.shape[-1]} wide, but items {self._vectors_ID.shape[1]}; "
                "a dot product needs the same width"
            )
        left_out = as_jagged(exclude, queries, "exclude", device)
        wanted = as_jagged(targets, queries, "targets", device)
        best, ranks = [], [wanted[0].new_empty(0, 3)]
        # As many at a time as suit the largest slice, for every rank must take the same steps with targets.
        step = max(1, self.block // self._largest_slice)
        scan = self._scan_for(queries_BD, k) if targets is None else None
        if scan:
            step = min(step, scan.rows_at_once(k, queries_BD))
        elif device.type == "cpu":
            step = min(step, max(_LEAST_ROWS, _CACHED_SCORES // self._largest_slice))
        if device.type == "cpu" and queries:
            # Parts of one size: BLAS adds up the products of a few queries in another order.
            step = -(-queries // -(-queries // step))
        for start in range(0, max(1, queries), step):
            stop = min(start + step, queries)
            some = queries_BD[start:stop]
            rows = places = left_out[0]
            if len(rows):
                rows, ids = rows_and_ids(left_out, start, stop)
                places, here = find_sorted(self._ids_I, ids)
                if not here.all():
                    rows, places = rows[here], places[here]
            if scan and (narrowed := scan.candidates(some, k, rows, places)):
                best.append(self._best_of(some, k, *narrowed, rows, places))
                continue
            scores_BI, ids_I = self._scores(some, self._vectors_ID), self._ids_I
            scores_BI[rows, places] = -torch.inf
            if k:
                best.append(best_ids(scores_BI, ids_I, k))
            if targets is not None:
                ranks.append(self._ranks_in(scores_BI, *rows_and_ids(wanted, start, stop)))
        if k:
            scores, ids = best[0] if len(best) == 1 else map(torch.cat, zip(*best, strict=True))
            scores, ids = self._merge(scores, ids, k)
        else:
            scores, ids = queries_BD.new_empty(queries, 0), wanted[0].new_empty(queries, 0)
        return scores, ids, torch.cat(ranks)

    def _best_of(
        self, queries_BD: Tensor, k: int, kept_C: Tensor, least_B: Tensor, rows_N: Tensor, places_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, k) best scores and ids among the items at the places ``kept_C``, of which some are excluded."""
        scores_BC = self._scores(queries_BD, padded_rows(self._vectors_ID, kept_C))[:, : len(kept_C)]
        if len(places_N):
            places_N, here_N = find_sorted(kept_C, places_N)
            scores_BC[rows_N[here_N], places_N[here_N]] = -torch.inf
        return best_above(scores_BC, self._ids_I[kept_C], least_B, k)

    def _scan_for(self, queries_BD: Tensor, k: int) -> CandidateScan | None:
        """Made at the first search: evaluation, which ranks all items, has no use for its memory."""
        scores = queries_BD.numel() // queries_BD.shape[-1] * len(self._ids_I)
        large = scores >= _LEAST_SCORES or self._vectors_ID.numel() >= _LEAST_NUMBERS
        if not self._dot or self._vectors_ID.device.type != "cpu" or not large or not scores:
            return None
        if self._scan is None:
            self._scan = CandidateScan(self._vectors_ID)
        return self._scan if self._scan.pays(k, queries_BD) else None

    def _scores(self, queries_BD: Tensor, vectors_ID: Tensor) -> Tensor:
        """(B, I) float32 scores of items."""
        if not len(vectors_ID):
            return queries_BD.new_empty(len(queries_BD), 0)
        if queries_BD.dim() == 3:
            scores_BI = self._scores(queries_BD[:, 0], vectors_ID)
            for interest in range(1, queries_BD.shape[1]):
                torch.maximum(scores_BI, self._scores(queries_BD[:, interest], vectors_ID), out=scores_BI)
            return scores_BI
        with torch.autocast(queries_BD.device.type, enabled=False):
            if self.scorer is None or self.scorer.indexable:
                return queries_BD @ vectors_ID.T
            # Excluding writes into the scores, which may be the scorer's own.
            return self.scorer(queries_BD, vectors_ID).float().clone()

    def _merge(self, scores_Bk: Tensor, ids_Bk: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k best of what every rank found."""
        if self._ranks() == 1:
            return scores_Bk, ids_Bk
        gathered = []
        for mine in (scores_Bk, ids_Bk):
            parts = [torch.empty_like(mine) for _ in range(self._ranks())]
            dist.all_gather(parts, mine, group=self.process_group)
            gathered.append(torch.cat(parts, dim=1))
        ids, order = gathered[1].sort(dim=1)
        scores, best = gathered[0].gather(1, order).sort(dim=1, descending=True, stable=True)
        return scores[:, :k], ids.gather(1, best)[:, :k]

    def _ranks_in(self, scores_BI: Tensor, rows_N: Tensor, ids_N: Tensor) -> Tensor:
        """(N, 3) ranks of targets, and the first and the last rank of the items with the same score.

        Each rank counts the items ahead of a target in its own slice.
        """
        places_N, here_N = find_sorted(self._ids_I, ids_N)
        own_N = scores_BI.new_full(ids_N.shape, -torch.inf)
        own_N[here_N] = scores_BI[rows_N[here_N], places_N[here_N]]
        if own_N.isnan().any():
            raise InputError("there is a NaN among the scores; did training diverge?")
        if self._ranks() > 1 and len(ids_N):
            dist.all_reduce(own_N, dist.ReduceOp.MAX, group=self.process_group)
        counts_N3 = torch.zeros(len(ids_N), 3, dtype=torch.int64, device=ids_N.device)
        columns_I = torch.arange(scores_BI.shape[1], device=scores_BI.device)
        exact = torch.float32 if scores_BI.shape[1] <= 2**24 else torch.float64  # whole numbers up to there
        # A query may have many targets; few rows at a time stay in the processor's cache.
        step = max(1, 2**18 // max(1, scores_BI.shape[1]))
        for start in range(0, len(ids_N), step):
            some = slice(start, start + step)
            rows, own = rows_N[some], own_N[some, None]
            # One target of each query, as in most evaluations: no copy of the scores.
            side_by_side = bool((rows.diff() == 1).all())
            scores = scores_BI[rows[0] : rows[-1] + 1] if side_by_side else scores_BI[rows]
            marks = torch.empty_like(scores)  # as floats: several times as fast to write and to sum as bool
            counts_N3[some, 0] = torch.gt(scores, own, out=marks).sum(1, dtype=exact).long()
            counts_N3[some, 1] = torch.eq(scores, own, out=marks).sum(1, dtype=exact).long()
            tied = (counts_N3[some, 1] > here_N[some]).nonzero()[:, 0]
            if len(tied):  # seldom: only then do ids decide
                lower_id = columns_I < places_N[some][tied, None]
                counts_N3[start + tied, 2] = (marks[tied].bool() & lower_id).sum(1)
        if self._ranks() > 1 and len(ids_N):
            dist.all_reduce(counts_N3, dist.ReduceOp.SUM, group=self.process_group)
        above_N, level_N, before_N = counts_N3.unbind(1)
        ranks_N3 = torch.stack([above_N + before_N + 1, above_N + 1, above_N + level_N], dim=1)
        return torch.where(own_N[:, None] > -torch.inf, ranks_N3, 0)

    def _ranks(self) -> int:
        on = dist.is_available() and dist.is_initialized()
        return dist.get_world_size(self.process_group) if on else 1
