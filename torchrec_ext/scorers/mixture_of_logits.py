"""A weighted sum of cosines of parts of both vectors, with weights for each pair."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Scorer
from torchrec_ext.errors import InputError
from torchrec_ext.float_weights import float_weights
from torchrec_ext.scorers._blocks import in_blocks


class MixtureOfLogits(Scorer):
    """A sum of cosines between parts of the query and of the candidate, weighted for each pair.

    From "Revisiting Neural Retrieval on Accelerators" (Zhai et al. 2023); with the notation of
    "Retrieval with Learned Similarities" (Ding, Zhai 2024). A linear layer maps a vector to its parts, which
    are normalised. The logits are the cosines of all pairs of parts, divided by a temperature. Their weights
    are the softmax of ``silu(g(query) * g(candidate) + g(logits))``; each g is a layer with SiLU and a linear
    layer. The papers' dropout of the weights and load-balancing loss are left out, and all parts come from
    one vector.

    It is not indexable. Pairs are computed in blocks, in training too.

    Args:
        dim: D, width of the vectors.
        query_parts: number of parts of a query.
        candidate_parts: number of parts of a candidate; a pair has ``query_parts * candidate_parts`` logits.
        part_dim: width of a part.
        gate_dim: width of the hidden layers that compute the weights.
        temperature: the scores lie between -1/temperature and 1/temperature.

    Example:
        >>> scorer = MixtureOfLogits(dim=8)
        >>> scorer(torch.rand(2, 8), torch.rand(5, 8)).shape
        torch.Size([2, 5])
    """

    indexable = False

    def __init__(
        self,
        dim: int,
        query_parts: int = 4,
        candidate_parts: int = 2,
        part_dim: int = 32,
        gate_dim: int = 32,
        temperature: float = 0.05,
    ) -> None:
        super().__init__()
        expect_at_least(
            1,
            dim=dim,
            query_parts=query_parts,
            candidate_parts=candidate_parts,
            part_dim=part_dim,
            gate_dim=gate_dim,
        )
        if not temperature > 0:
            raise InputError(f"temperature should be above 0, received {temperature}")
        self.dim = dim
        self.query_parts = query_parts
        self.candidate_parts = candidate_parts
        self.part_dim = part_dim
        self.gate_dim = gate_dim
        self.temperature = temperature
        logits = query_parts * candidate_parts
        self.parts_of_query = nn.Linear(dim, query_parts * part_dim)
        self.parts_of_candidate = nn.Linear(dim, candidate_parts * part_dim)
        self.gate_of_query = _gate(dim, gate_dim, logits)
        self.gate_of_candidate = _gate(dim, gate_dim, logits)
        self.gate_of_logits = _gate(logits, gate_dim, logits)

    def forward(self, queries_BD: Tensor, candidates: Tensor) -> Tensor:
        """``(B, D)`` queries and ``(C, D)`` shared or ``(B, C, D)`` own candidates to ``(B, C)`` scores."""
        expect_shape("queries_BD", queries_BD, ("batch", self.dim))
        _expect_candidates(candidates, queries_BD, self.dim)
        # What depends on only one of the two is computed once: first its parts, then its gate.
        queries_BX = torch.cat(
            [
                _normalised(self.parts_of_query(queries_BD), self.part_dim) / self.temperature,
                self.gate_of_query(queries_BD),
            ],
            -1,
        )
        candidates_Y = torch.cat(
            [
                _normalised(self.parts_of_candidate(candidates), self.part_dim),
                self.gate_of_candidate(candidates),
            ],
            -1,
        )
        gate = float_weights(self.gate_of_logits)
        return _mixtures(
            queries_BX, candidates_Y, self.query_parts, self.candidate_parts, self.part_dim, gate
        )


def _gate(into: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(into, hidden), nn.SiLU(), nn.Linear(hidden, out))


def _normalised(parts: Tensor, width: int) -> Tensor:
    """Normalises each part of concatenated parts."""
    return functional.normalize(parts.unflatten(-1, (-1, width)), dim=-1).flatten(-2)


@torch.fx.wrap
def _expect_candidates(candidates: Tensor, queries_BD: Tensor, dim: int) -> None:
    rows = () if candidates.dim() == 2 else (queries_BD.shape[0],)
    expect_shape("candidates", candidates, (*rows, "candidates", dim))


@torch.fx.wrap
def _mixtures(
    queries_BX: Tensor,
    candidates_Y: Tensor,
    query_parts: int,
    candidate_parts: int,
    width: int,
    gate: Sequence[Tensor],
) -> Tensor:
    first_weight, first_bias, second_weight, second_bias = gate
    logits = query_parts * candidate_parts

    def score(some_BX: Tensor, theirs_Y: Tensor) -> Tensor:
        query_BX, query_gate_BL = some_BX.split((query_parts * width, logits), 1)
        their_parts, their_gate = theirs_Y.split((candidate_parts * width, logits), -1)
        query_BqW = query_BX.unflatten(1, (query_parts, width))
        parts_pCW = their_parts.unflatten(-1, (candidate_parts, width)).transpose(-3, -2)
        # Candidates are the last axis, because there are many; the few logits would not fill vector units.
        equation = "bqw,pcw->bqpc" if theirs_Y.dim() == 2 else "bqw,bpcw->bqpc"
        logits_BLC = torch.einsum(equation, query_BqW, parts_pCW).flatten(1, 2)
        hidden_BGC = functional.silu(_linear(logits_BLC, first_weight, first_bias))
        gate_BLC = _linear(hidden_BGC, second_weight, second_bias)
        product_BLC = query_gate_BL.unsqueeze(2) * their_gate.transpose(-1, -2)
        shares_BLC = functional.silu(gate_BLC + product_BLC).softmax(1)
        return (shares_BLC * logits_BLC).sum(1)

    return in_blocks(score, queries_BX, candidates_Y, width=len(first_bias) + 2 * logits)


def _linear(values_BLC: Tensor, weight_GL: Tensor, bias_G: Tensor) -> Tensor:
    """A linear layer over the middle axis."""
    return torch.baddbmm(bias_G.unsqueeze(1), weight_GL.expand(values_BLC.shape[0], -1, -1), values_BLC)
