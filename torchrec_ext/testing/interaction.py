"""The promises of an Interaction."""

from typing import Any

import torch
from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.module import ModuleContract
from torchrec_ext.testing.promise import promise


class InteractionContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``; each case needs ``num_fields`` and ``dim``."""

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        fields, dim = case.arguments["num_fields"], case.arguments["dim"]
        return (torch.randn(rows, fields, dim, generator=torch.Generator().manual_seed(seed)),)

    def output_shape(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]), module.out_dim)

    def wrong_shapes(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        fields, dim = case.arguments["num_fields"], case.arguments["dim"]
        shapes = [(ROWS, fields + 1, dim), (ROWS, fields, dim + 1), (ROWS, fields * dim)]
        return [("fields_BFD", (torch.zeros(shape),)) for shape in shapes]

    @promise
    def test_out_fields_divide_the_output(self, case: Case) -> None:
        """The output holds ``out_fields`` vectors of one width, which another interaction can read."""
        module = case.build()
        whole = isinstance(module.out_fields, int) and module.out_fields > 0
        assert whole and module.out_dim % module.out_fields == 0, (
            f"out_fields should divide out_dim, {module.out_dim}, received {module.out_fields}"
        )
