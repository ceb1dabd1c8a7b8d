"""Any module as a sequence encoder."""

from typing import Any

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape, run_on_zeros
from torchrec_ext.contracts import SequenceEncoder
from torchrec_ext.errors import InputError
from torchrec_ext.padding import real_events


class ModuleEncoder(SequenceEncoder):
    """Adapts any module that maps ``(B, T, D)`` events to ``(B, T, H)`` states, for every T.

    Padding is set to zero before the call. A module that is not causal sees these zeros, so its states may
    depend on their number if it takes no mask. If the module returns a tuple, as torch's recurrent
    networks do, the first entry is taken. The width of a state is found by one run on zeros in evaluation
    mode, which does not change the module's modes or torch's generators. On the command line, where a
    module cannot be passed, name a subclass that builds its module: ``package.module:Class``.

    Args:
        dim: D, width of an event vector.
        module: the module.
        causal: whether state t depends on events <= t only. This is not checked. Training then learns every
            next event of a history in one pass.
        mask_argument: name of the module's argument for a ``(B, T)`` bool that is True at padding, such as
            ``src_key_padding_mask``; None if it has none. An empty history is not masked.

    Raises:
        InputError: if the module fails on such events, or does not give one state for each.

    Example:
        >>> ModuleEncoder(8, nn.LSTM(8, 16, batch_first=True), causal=True).out_dim
        16
        >>> layer = nn.TransformerEncoderLayer(8, nhead=2, batch_first=True)
        >>> encoder = ModuleEncoder(8, layer, mask_argument="src_key_padding_mask")
        >>> encoder(torch.rand(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 5, 8])
    """

    cannot = {"description_builds_it_again": "the arguments that built the inner module are not known"}

    def __init__(
        self, dim: int, module: nn.Module, causal: bool = False, mask_argument: str | None = None
    ) -> None:
        super().__init__()
        expect_at_least(1, dim=dim)
        if not isinstance(module, nn.Module):
            raise InputError(f"module should be an nn.Module, received {module!r}")
        self.dim = dim
        self.module = module
        self.causal = causal
        self.mask_argument = mask_argument
        made = run_on_zeros("module", module, (2, 3, dim), self._call)
        self._gives_several = isinstance(made, tuple)
        states = made[0] if isinstance(made, tuple) and made else made
        if not (isinstance(states, Tensor) and states.dim() == 3 and states.shape[:2] == (2, 3)):
            received = tuple(states.shape) if isinstance(states, Tensor) else type(made).__name__
            raise InputError(
                f"module {type(module).__name__} should give (batch, events, width), received {received} "
                "for a batch of 2 with 3 events"
            )
        self.out_dim = states.shape[2]

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, H)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        padding_BT = ~real_events(events_BTD, lengths_B)
        made = self._call(events_BTD.masked_fill(padding_BT.unsqueeze(2), 0.0), padding_BT)
        states_BTH = made[0] if self._gives_several else made
        expect_shape(
            "the module's states", states_BTH, (events_BTD.shape[0], events_BTD.shape[1], self.out_dim)
        )
        return states_BTH

    def _call(self, events_BTD: Tensor, padding_BT: Tensor | None = None) -> Any:
        if self.mask_argument is None:
            return self.module(events_BTD)
        if padding_BT is None:
            padding_BT = torch.zeros(events_BTD.shape[:2], dtype=torch.bool, device=events_BTD.device)
        # Attention over no event would be NaN, so an empty history attends to its zeros.
        masked_BT = padding_BT & ~padding_BT.all(1, keepdim=True)
        return self.module(events_BTD, **{self.mask_argument: masked_BT})
