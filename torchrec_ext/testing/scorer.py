"""The promises of a Scorer."""

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.expect import expect_close, expect_shape
from torchrec_ext.testing.module import ModuleContract
from torchrec_ext.testing.promise import promise, slow

CANDIDATES = 7
WIDTH = 8


class ScorerContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``; vectors are as wide as the case's ``dim``, or 8."""

    axes = ({0: "batch"}, {0: "batch", 1: "candidates"})

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        width = case.arguments.get("dim", WIDTH)
        queries = torch.randn(rows, width, generator=generator)
        return queries, torch.randn(rows, CANDIDATES, width, generator=generator)

    def other_sizes(self, case: Case) -> list[tuple[Tensor, ...]]:
        queries, own = self.draw(case, ROWS + 2, seed=7)
        alone, one = self.draw(case, 1, seed=8)
        return [(queries, torch.cat([own, own.flip(1)], 1)), (queries, own[:, :3]), (alone, one)]

    def output_shape(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]), inputs[1].shape[-2])

    def wrong_shapes(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        queries, candidates = self.draw(case)
        return [
            ("queries_BD", (queries[0], candidates[0])),
            ("candidates", (queries, candidates[0, :, 1:])),
            ("candidates", (queries, candidates[:, :, 1:])),
            ("candidates", (queries, candidates[:-1])),
        ]

    @promise
    def test_shared_candidates_score_as_own_ones_do(self, case: Case) -> None:
        """``(C, D)`` candidates score as ``(B, C, D)`` candidates that are the same in every row."""
        scorer = case.build().eval()
        queries, own = self.draw(case)
        expected = scorer(queries, own[:1].expand(ROWS, -1, -1))
        expect_close(scorer(queries, own[0]), expected, "the scores of shared candidates")

    @promise
    def test_no_candidate_gives_no_score(self, case: Case) -> None:
        """Zero candidates, or shared candidates for zero queries, give an empty output."""
        scorer = case.build()
        queries, own = self.draw(case)
        for some, candidates in ((queries, own[:, :0]), (queries, own[0, :0]), (queries[:0], own[0])):
            shape = self.output_shape(scorer, (some, candidates))
            what = f"the scores of {len(some)} queries and {shape[1]} candidates"
            expect_shape(scorer(some, candidates), shape, what)

    @promise
    def test_other_candidates_do_not_change_a_score(self, case: Case) -> None:
        """A candidate's score does not depend on the others: a catalogue is scored in parts, on any rank."""
        scorer = case.build().eval()
        queries, own = self.draw(case)
        parts = torch.cat([scorer(queries, own[0, :3]), scorer(queries, own[0, 3:])], dim=1)
        expect_close(parts, scorer(queries, own[0]), "the scores of two parts of the candidates")

    @promise
    def test_an_index_gives_the_same_scores(self, case: Case) -> None:
        """Dot products of ``index_vectors`` are the scores of a scorer that is indexable."""
        scorer = case.build().eval()
        if not scorer.indexable:
            pytest.skip("it is not indexable")
        queries, own = self.draw(case)
        dots = scorer.index_vectors(queries) @ scorer.index_vectors(own[0]).T
        expect_close(dots, scorer(queries, own[0]), "the dot products of index_vectors", 1e-5)

    @slow()
    @promise
    def test_export_leaves_the_number_of_candidates_open(self, case: Case) -> None:
        """A saved program of ``torch.export`` with a dynamic number of candidates gives the same."""
        self.compare_exported(case, self.axes, self.other_sizes(case))
