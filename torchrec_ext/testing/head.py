"""The promises of a Head."""

from typing import Any

import torch
from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.module import ModuleContract


class HeadContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``; each case needs ``in_dim`` and ``tasks``."""

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        width = case.arguments["in_dim"]
        return (torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)),)

    def output_shape(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]), module.tasks)

    def wrong_shapes(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        width = case.arguments["in_dim"]
        return [("vectors_BD", (torch.zeros(shape),)) for shape in ((ROWS, width + 1), (ROWS, 1, width))]
