"""One way to build a module that a contract is tried on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class Case:
    """A class and the arguments to build it with.

    Args:
        cls: the plug-in's class.
        arguments: its constructor's arguments, by name.

    Example:
        >>> from torchrec_ext.encoders import GRU
        >>> case = Case(GRU, dim=8, layers=2)
        >>> case
        GRU(dim=8, layers=2)
        >>> case.build().out_dim
        16
    """

    def __init__(self, cls: type[nn.Module], /, **arguments: Any):
        self.cls = cls
        self.arguments = arguments

    @property
    def cannot(self) -> Mapping[str, str]:
        """The promises that the class does not keep, by the test's name without ``test_``, and why."""
        return getattr(self.cls, "cannot", {})

    def build(self, seed: int = 0, **changed: Any) -> Any:
        """A module in training mode with weights drawn from ``seed``; ``changed`` replaces arguments."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.cls(**{**self.arguments, **changed})

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.cls.__name__}({arguments})"
