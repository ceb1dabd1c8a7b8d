"""Any module as an interaction."""

from typing import Any, Literal

from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_one_of, expect_shape, run_on_zeros
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError


class ModuleInteraction(Interaction):
    """Adapts any module, such as those of TorchRec, that reads field vectors in one of several layouts.

    The output is the module's, flattened to ``(B, H)``. Its width is found by one run on zeros in evaluation
    mode, which does not change the module's modes or torch's generators. On the command line, where a module
    cannot be passed, name a subclass that builds its module: ``package.module:Class``.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        module: the module.
        input_format: the module's arguments: ``"flat"``, all vectors concatenated, ``(B, F * D)``;
            ``"fields"``, ``(B, F, D)``; ``"list"``, a list of F tensors ``(B, D)``; ``"dense_and_sparse"``,
            two arguments, the first vector ``(B, D)`` and the others ``(B, F - 1, D)``.

    Raises:
        InputError: if the module fails on such an input, or does not give one row for each example.

    Example:
        >>> import torch
        >>> from torchrec.models.dlrm import InteractionArch
        >>> from torchrec.modules.crossnet import CrossNet
        >>> dots = ModuleInteraction(4, 8, InteractionArch(num_sparse_features=3), "dense_and_sparse")
        >>> dots(torch.rand(2, 4, 8)).shape  # 8 components and 6 products
        torch.Size([2, 14])
        >>> ModuleInteraction(4, 8, CrossNet(in_features=4 * 8, num_layers=2)).out_dim
        32
    """

    cannot = {"description_builds_it_again": "the arguments that built the inner module are not known"}

    def __init__(
        self,
        num_fields: int,
        dim: int,
        module: nn.Module,
        input_format: Literal["flat", "fields", "list", "dense_and_sparse"] = "flat",
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim)
        expect_one_of("input_format", input_format, ("flat", "fields", "list", "dense_and_sparse"))
        if input_format == "dense_and_sparse":
            expect_at_least(2, num_fields=num_fields)
        if not isinstance(module, nn.Module):
            raise InputError(f"module should be an nn.Module, received {module!r}")
        self.num_fields = num_fields
        self.dim = dim
        self.module = module
        self.input_format = input_format
        made = run_on_zeros("module", module, (2, num_fields, dim), self._call)
        if not (isinstance(made, Tensor) and made.dim() > 1 and len(made) == 2):
            received = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise InputError(
                f"module {type(module).__name__} should give (batch, width), received {received} "
                "for a batch of 2"
            )
        self.out_dim = made[0].numel()

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, out_dim)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        return self._call(fields_BFD).flatten(1)

    def _call(self, fields_BFD: Tensor) -> Any:
        if self.input_format == "flat":
            return self.module(fields_BFD.flatten(1))
        if self.input_format == "fields":
            return self.module(fields_BFD)
        if self.input_format == "list":
            return self.module([fields_BFD[:, field] for field in range(self.num_fields)])
        return self.module(fields_BFD[:, 0], fields_BFD[:, 1:])
