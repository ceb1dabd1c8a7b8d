"""How the contract tests build the adapters of other people's modules."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from torchrec_ext.testing import Case


class Around(Case):
    """An adapter and how to make the module inside: anew each time, for its weights to follow the seed."""

    def __init__(self, cls: type[nn.Module], make: Callable[[], nn.Module], **arguments: Any):
        super().__init__(cls, **arguments)
        self.make = make

    def build(self, seed: int = 0, **changed: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.cls(**{**self.arguments, **changed, "module": self.make()})


class RunningSum(nn.Module):
    """A causal module of somebody who knows nothing of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.out = nn.Linear(8, 6), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.map(x).tanh().cumsum(1))
