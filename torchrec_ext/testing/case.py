"""One way to build a module, which a contract is tried on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class Case:
    """A class and the arguments to build it with.

    Args:
        cls: the plug-in's class.
        cannot: promises it does not keep: the test's name without ``test_``, and the reason.
        arguments: its constructor's arguments, by name.

    Example:
        >>> from torchrec_ext.encoders import GRU
        >>> case = Case(GRU, dim=8, layers=2)
        >>> case
        GRU(dim=8, layers=2)
        >>> case.build().out_dim
        16
    """

    def __init__(self, cls: type[nn.Module], /, *, cannot: Mapping[str, str] | None = None, **arguments: Any):
        self.cls = cls
        self.cannot = dict(cannot or {})
        self.arguments = arguments

    def build(self, seed: int = 0, **changed: Any) -> Any:
        """A module in training mode, its weights drawn from ``seed``; ``changed`` arguments go first."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.cls(**{**self.arguments, **changed})

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.cls.__name__}({given})"
