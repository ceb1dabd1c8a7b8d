"""Scorers of all pairs of a query and a shared candidate."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Dot(nn.Module):
    """einsum."""

    def forward(self, queries_BD: Tensor, candidates_CD: Tensor) -> Tensor:
        """``(B, D)`` and ``(C, D)`` to ``(B, C)``."""
        return torch.einsum("bd,cd->bc", queries_BD, candidates_CD)


class Cosine(nn.Module):
    """einsum of normalised vectors."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.temperature = ours.temperature

    def forward(self, queries_BD: Tensor, candidates_CD: Tensor) -> Tensor:
        """``(B, D)`` and ``(C, D)`` to ``(B, C)``."""
        queries, candidates = (
            functional.normalize(queries_BD, dim=1),
            functional.normalize(candidates_CD, dim=1),
        )
        return torch.einsum("bd,cd->bc", queries, candidates) / self.temperature


class NetworkOfPairs(nn.Module):
    """NeuMF: both vectors of every pair side by side through linear layers, and their product."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        widths = (2 * ours.dim, *ours.hidden)
        layers: list[nn.Module] = []
        for into, out in zip(widths, ours.hidden, strict=False):
            layers += [nn.Linear(into, out), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(ours.dim + ours.hidden[-1], 1, bias=False)

    def forward(self, queries_BD: Tensor, candidates_CD: Tensor) -> Tensor:
        """``(B, D)`` and ``(C, D)`` to ``(B, C)``."""
        queries = queries_BD.unsqueeze(1).expand(-1, len(candidates_CD), -1)
        candidates = candidates_CD.expand(len(queries_BD), -1, -1)
        deep = self.layers(torch.cat([queries, candidates], 2))
        return self.last(torch.cat([queries * candidates, deep], 2)).squeeze(2)


class GatedCosines(nn.Module):
    """MoL: all pairs' cosines, and gates of the query, the candidate and the cosines."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.width, self.temperature = ours.part_dim, ours.temperature
        logits = ours.query_parts * ours.candidate_parts
        self.of_query = nn.Linear(ours.dim, ours.query_parts * ours.part_dim)
        self.of_candidate = nn.Linear(ours.dim, ours.candidate_parts * ours.part_dim)

        def gate(into: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(into, ours.gate_dim), nn.SiLU(), nn.Linear(ours.gate_dim, logits))

        self.query_gate, self.candidate_gate, self.logits_gate = gate(ours.dim), gate(ours.dim), gate(logits)

    def forward(self, queries_BD: Tensor, candidates_CD: Tensor) -> Tensor:
        """``(B, D)`` and ``(C, D)`` to ``(B, C)``."""
        queries, candidates = (
            functional.normalize(parts.unflatten(1, (-1, self.width)), dim=2)
            for parts in (self.of_query(queries_BD), self.of_candidate(candidates_CD))
        )
        logits = torch.einsum("bqw,cpw->bcqp", queries, candidates).flatten(2) / self.temperature
        product = self.query_gate(queries_BD).unsqueeze(1) * self.candidate_gate(candidates_CD)
        shares = functional.silu(product + self.logits_gate(logits)).softmax(2)
        return (shares * logits).sum(2)


PEERS: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "cosine": ("normalize, einsum", Cosine),
    "dot": ("einsum", lambda ours: Dot()),
    "mixture_of_logits": ("einsum, all pairs", GatedCosines),
    "neumf": ("cat, nn.Linear, all pairs", NetworkOfPairs),
}
