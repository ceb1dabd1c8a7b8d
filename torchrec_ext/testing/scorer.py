"""The promises of a Scorer."""

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, close
from torchrec_ext.testing.module import ModuleContract

CANDIDATES = 7
WIDTH = 8


class ScorerContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``; vectors are as wide as its ``dim``, or 8."""

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        width = case.arguments.get("dim", WIDTH)
        queries = torch.randn(rows, width, generator=generator)
        return queries, torch.randn(rows, CANDIDATES, width, generator=generator)

    def size(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]), CANDIDATES)

    def wrong(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        queries, candidates = self.draw(case)
        return [
            ("queries_BD", (queries[0], candidates[0])),
            ("candidates", (queries, candidates[0, :, 1:])),
            ("candidates", (queries, candidates[:, :, 1:])),
            ("candidates", (queries, candidates[:-1])),
        ]

    def test_shared_candidates_score_as_own_ones_do(self, case: Case) -> None:
        """``(C, D)`` candidates stand for the same ones in every row."""
        scorer = case.build().eval()
        queries, own = self.draw(case)
        close(scorer(queries, own[0]), scorer(queries, own[:1].expand(ROWS, -1, -1)))

    def test_other_candidates_do_not_change_a_score(self, case: Case) -> None:
        """So that a catalogue can be scored in parts, on any rank."""
        scorer = case.build().eval()
        queries, own = self.draw(case)
        whole = scorer(queries, own[0])
        close(torch.cat([scorer(queries, own[0, :3]), scorer(queries, own[0, 3:])], dim=1), whole)

    def test_an_index_gives_the_same_scores(self, case: Case) -> None:
        """Dot products of ``index_vectors`` are the scores, where the scorer says it is indexable."""
        scorer = case.build().eval()
        if not scorer.indexable:
            pytest.skip("no index serves it")
        queries, own = self.draw(case)
        dots = scorer.index_vectors(queries) @ scorer.index_vectors(own[0]).T
        torch.testing.assert_close(dots, scorer(queries, own[0]), rtol=1e-5, atol=1e-5)
