"""Heads of domains: what the items of two shops mean to the same user."""

from typing import Any

import torch
from torch import Tensor, nn

from torchrec_ext.batch import Batch


class Heads(nn.Module):
    """A linear head for each domain; it is on the items' side, which knows it: q' (W v) is (W' q)' v."""

    def __init__(self, dim: int, domains: int = 2) -> None:
        super().__init__()
        self.heads_HDD = nn.Parameter(torch.eye(dim).repeat(domains + 1, 1, 1))  # 0: an unknown domain

    def forward(self, sequences: dict[str, Any], batch: Batch) -> Tensor:
        vectors_CD = sequences["candidates"].values() + sequences["candidates_item_domain"].values()
        domains_C = batch.sequences["candidates_item_domain"].values()
        return (vectors_CD @ self.heads_HDD)[domains_C, torch.arange(len(domains_C), device=domains_C.device)]
