"""Any module as an interaction."""

from typing import Any, Literal

from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_one_of, expect_shape, try_out
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError


class ModuleInteraction(Interaction):
    """A module of one's own, TorchRec's say, that reads the field vectors in the way it is used to.

    Its output ``(B, H)``, or ``(B, ...)`` which is flattened, is the interaction's; how wide that is tells
    a first run on zeros, in evaluation mode, which leaves the module's modes and torch's generators as
    they are. The command line has no name for it, since no name can hand a module over: there, name a
    subclass that builds its module, ``package.module:Class``.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        module: the module.
        reads: what it is called with: ``"flat"``, all vectors side by side, ``(B, F * D)``; ``"fields"``,
            ``(B, F, D)``; ``"list"``, a list of F tensors ``(B, D)``; ``"dense_and_sparse"``, two
            arguments, the first vector ``(B, D)`` and the others ``(B, F - 1, D)``.

    Raises:
        InputError: if the module cannot read the fields so, or gives no tensor with a row for each example.

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

    cannot = {"description_builds_it_again": "what a module of one's own was built with is not known"}

    def __init__(
        self,
        num_fields: int,
        dim: int,
        module: nn.Module,
        reads: Literal["flat", "fields", "list", "dense_and_sparse"] = "flat",
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim)
        expect_one_of("reads", reads, ("flat", "fields", "list", "dense_and_sparse"))
        if reads == "dense_and_sparse":
            expect_at_least(2, num_fields=num_fields)
        if not isinstance(module, nn.Module):
            raise InputError(f"module should be an nn.Module, received {module!r}")
        self.num_fields = num_fields
        self.dim = dim
        self.module = module
        self.reads = reads
        made = try_out("module", module, (2, num_fields, dim), self._call)
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
        if self.reads == "flat":
            return self.module(fields_BFD.flatten(1))
        if self.reads == "fields":
            return self.module(fields_BFD)
        if self.reads == "list":
            return self.module([fields_BFD[:, field] for field in range(self.num_fields)])
        return self.module(fields_BFD[:, 0], fields_BFD[:, 1:])
