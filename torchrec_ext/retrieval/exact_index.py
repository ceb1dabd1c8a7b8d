"""Exact top-N over a catalogue whose items are spread over the ranks, and never gathered on one."""

import torch
import torch.distributed as dist
from torch import Tensor

from torchrec_ext.checks import expect_shape, expect_whole
from torchrec_ext.contracts import Exclusions, Scorer
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.jagged_ids import Jagged, as_jagged, rows_and_ids
from torchrec_ext.retrieval.top_k import exact_top_k


class ExactIndex:
    """Scores every item for every query: each rank its own slice, of which only the k best travel.

    One order stands behind lists and ranks alike: higher score first, then lower id. ``build``,
    ``search``, ``ranks_of`` and ``search_and_rank`` are collective, so every rank of the group
    calls them, with the same queries, and gets the same answer. Without a process group the one
    process holds the whole catalogue. Scores are float32, under autocast too.

    Args:
        scorer: scores queries against items; None for the dot product. The index neither moves it to
            a device nor switches off its dropout.
        block: how many scores a rank holds at a time (2**26 are 256 MiB; twice that for a scorer or several
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
        block: int = 2**26,
        process_group: dist.ProcessGroup | None = None,
    ) -> None:
        self.scorer = scorer
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
        expect_shape("vectors_ID", vectors_ID, ("items", "D"))
        expect_shape("ids_I", ids_I, ("items",))
        if ids_I.is_floating_point():
            raise InputError(f"ids_I should be integers, received {ids_I.dtype}")
        if ids_I.shape != vectors_ID.shape[:1]:
            raise InputError(
                f"there are {len(vectors_ID)} item vectors but {len(ids_I)} ids; give each its id"
            )
        ids_I, order = ids_I.sort()  # so that the lower place is the lower id
        if len(ids_I) and ids_I[0] < 0:
            raise InputError(f"item id {int(ids_I[0])} is negative; ids are counted from 0")
        repeated = ids_I[1:][ids_I[1:] == ids_I[:-1]]
        if len(repeated):
            raise InputError(f"item id {int(repeated[0])} is given twice; give each item once")
        in_order = bool((order[1:] > order[:-1]).all())
        self._vectors_ID = (vectors_ID if in_order else vectors_ID[order]).detach().float()
        self._ids_I = ids_I
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
        self._check_k(k)
        if queries_BD.dim() not in (2, 3):
            raise InputError(
                f"queries_BD should be (queries, D) or (queries, K, D), received {tuple(queries_BD.shape)}"
            )
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
        self._check_k(k)
        scores, ids, ranks = self._one_pass(queries_BD, k, targets, exclude)
        return scores, ids, ranks[:, 0], ranks[:, 1:]

    def _check_k(self, k: int) -> None:
        if not self.items:
            raise InputError("the index has no items; build() it from at least one")
        expect_whole(0, k=k)
        if not 1 <= k <= self.items:
            raise InputError(
                f"k is {k}, but the catalogue has {self.items} items; choose k from 1 to {self.items}"
            )

    @torch.no_grad()
    def _one_pass(
        self, queries_BD: Tensor, k: int, targets: Jagged | None, exclude: Exclusions | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if not self.items:
            raise InputError("the index has no items; build() it from at least one")
        device, queries = self._vectors_ID.device, len(queries_BD)
        queries_BD = queries_BD.to(device).float()
        if queries_BD.isnan().any():
            raise InputError("there is a NaN among the queries; did training diverge?")
        if self.scorer is None and queries_BD.shape[-1] != self._vectors_ID.shape[1]:
            raise InputError(
                f"queries are {queries_BD.shape[-1]} wide, but items {self._vectors_ID.shape[1]}; "
                "a dot product needs the same width"
            )
        left_out = as_jagged(exclude, queries, "exclude", device)
        wanted = as_jagged(targets, queries, "targets", device)
        best_scores, best_ids, ranks = [], [], [wanted[0].new_empty(0, 3)]
        # As many at a time as suit the largest slice, for every rank must take the same steps.
        step = max(1, self.block // self._largest_slice)
        for start in range(0, max(1, queries), step):
            stop = min(start + step, queries)
            scores_BI = self._scores(queries_BD[start:stop])
            rows, ids = rows_and_ids(left_out, start, stop)
            places, here = self._find(ids)
            scores_BI[rows[here], places[here]] = -torch.inf
            if k:
                scores, ids = self._local_top_k(scores_BI, k)
                best_scores.append(scores)
                best_ids.append(ids)
            if targets is not None:
                ranks.append(self._ranks_in(scores_BI, *rows_and_ids(wanted, start, stop)))
        if k:
            scores, ids = self._merge(torch.cat(best_scores), torch.cat(best_ids), k)
        else:
            scores, ids = queries_BD.new_empty(queries, 0), wanted[0].new_empty(queries, 0)
        return scores, ids, torch.cat(ranks)

    def _scores(self, queries_BD: Tensor) -> Tensor:
        """(B, I) float32 scores of this rank's items."""
        if not len(self._ids_I):
            return queries_BD.new_empty(len(queries_BD), 0)
        if queries_BD.dim() == 3:
            scores_BI = self._scores(queries_BD[:, 0])
            for interest in range(1, queries_BD.shape[1]):
                torch.maximum(scores_BI, self._scores(queries_BD[:, interest]), out=scores_BI)
            return scores_BI
        with torch.autocast(queries_BD.device.type, enabled=False):
            if self.scorer is None:
                return queries_BD @ self._vectors_ID.T
            # Excluding writes into the scores, which may be the scorer's own.
            return self.scorer(queries_BD, self._vectors_ID).float().clone()

    def _find(self, ids_N: Tensor) -> tuple[Tensor, Tensor]:
        """Where each id stands, or would stand, in the slice, and whether it is there."""
        places_N = torch.searchsorted(self._ids_I, ids_N)
        if not len(self._ids_I):
            return places_N, torch.zeros_like(ids_N, dtype=torch.bool)
        return places_N, self._ids_I[places_N.clamp(max=len(self._ids_I) - 1)] == ids_N

    def _local_top_k(self, scores_BI: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The best of this rank's slice, filled up to k columns."""
        found = min(k, scores_BI.shape[1])
        scores_Bk = scores_BI.new_full((len(scores_BI), k), -torch.inf)
        ids_Bk = self._ids_I.new_full((len(scores_BI), k), -1)
        if found:
            scores, places = exact_top_k(scores_BI, found)
            scores_Bk[:, :found] = scores
            ids_Bk[:, :found] = self._ids_I[places].masked_fill(places == -1, -1)
        return scores_Bk, ids_Bk

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
        places_N, here_N = self._find(ids_N)
        own_N = scores_BI.new_full(ids_N.shape, -torch.inf)
        own_N[here_N] = scores_BI[rows_N[here_N], places_N[here_N]]
        if own_N.isnan().any():
            raise InputError("there is a NaN among the scores; did training diverge?")
        if self._ranks() > 1 and len(ids_N):
            dist.all_reduce(own_N, dist.ReduceOp.MAX, group=self.process_group)
        counts_N3 = torch.zeros(len(ids_N), 3, dtype=torch.int64, device=ids_N.device)
        columns_I = torch.arange(scores_BI.shape[1], device=scores_BI.device)
        # A query may have many targets; few rows at a time stay in the processor's cache.
        step = max(1, 2**18 // max(1, scores_BI.shape[1]))
        for start in range(0, len(ids_N), step):
            some = slice(start, start + step)
            scores, own = scores_BI[rows_N[some]], own_N[some, None]
            level = scores == own
            counts_N3[some, 0] = (scores > own).sum(1, dtype=torch.int32).long()
            counts_N3[some, 1] = level.sum(1, dtype=torch.int32).long()
            tied = (counts_N3[some, 1] > here_N[some]).nonzero()[:, 0]
            if len(tied):  # seldom: only then do ids decide
                lower_id = columns_I < places_N[some][tied, None]
                counts_N3[start + tied, 2] = (level[tied] & lower_id).sum(1)
        if self._ranks() > 1 and len(ids_N):
            dist.all_reduce(counts_N3, dist.ReduceOp.SUM, group=self.process_group)
        above_N, level_N, before_N = counts_N3.unbind(1)
        ranks_N3 = torch.stack([above_N + before_N + 1, above_N + 1, above_N + level_N], dim=1)
        return torch.where(own_N[:, None] > -torch.inf, ranks_N3, 0)

    def _ranks(self) -> int:
        on = dist.is_available() and dist.is_initialized()
        return dist.get_world_size(self.process_group) if on else 1
