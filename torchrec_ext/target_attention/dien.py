"""Interests extracted from a history and evolved towards the candidate."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import SupervisedTargetAttention
from torchrec_ext.dynamic_length import gru, is_dynamic, scan
from torchrec_ext.float_weights import float_weights
from torchrec_ext.padding import at_least_one_event, real_events


class DIEN(SupervisedTargetAttention):
    """Deep interest evolution network: a GRU extracts interests, a second one evolves them for the candidate.

    From "Deep Interest Evolution Network for Click-Through Rate Prediction" (Zhou et al. 2019). A GRU reads
    the events. Each of its states is an interest, weighted by a softmax over its bilinear product with the
    candidate. A second GRU, whose update gate is multiplied by that weight (AUGRU), reads the interests. Its
    state after the newest event is the result.

    The auxiliary loss trains each state to distinguish the next event from a negative one by a dot product,
    as in the text of the paper (its code has a small network): the mean over a rank's next events of
    ``-log sigmoid(h . e) - log(1 - sigmoid(h . n))``. The paper samples n from the items. Here n is the event
    at the same position of the next row of the batch (the first row follows the last), modulo the length of
    that row's history. A next event without a negative does not count: if the next row's history is empty, or
    in a batch of one, whose loss is 0.

    Args:
        dim: D, width of an event, of the candidate and of an interest.
        hidden: width of the evolved interest, which is ``out_dim``; None takes ``dim``.
        auxiliary_weight: factor of the auxiliary loss.

    Example:
        >>> attention = DIEN(dim=8, hidden=16)
        >>> target_BD, events_BTD, lengths_B = torch.rand(2, 8), torch.rand(2, 5, 8), torch.tensor([5, 3])
        >>> attention(target_BD, events_BTD, lengths_B).shape
        torch.Size([2, 16])
        >>> attention.forward_and_loss(target_BD, events_BTD, lengths_B)[1].shape
        torch.Size([])
    """

    cannot = {"same_loss_on_two_processes": "its auxiliary loss takes negatives from the rank's other rows"}

    def __init__(self, dim: int, hidden: int | None = None, auxiliary_weight: float = 1.0) -> None:
        super().__init__()
        hidden = dim if hidden is None else hidden
        expect_at_least(1, dim=dim, hidden=hidden)
        expect_at_least(0, auxiliary_weight=auxiliary_weight)
        self.dim = dim
        self.hidden = hidden
        self.auxiliary_weight = auxiliary_weight
        self.out_dim = hidden
        self.extractor = nn.GRU(dim, dim)
        self.bilinear = nn.Linear(dim, dim, bias=False)
        # Of the second GRU, both with the rows reset gate, update gate, new state.
        self.input_gates = nn.Linear(dim, 3 * hidden)
        self.state_gates = nn.Linear(hidden, 3 * hidden, bias=False)
        nn.init.uniform_(self.input_gates.weight, -(hidden**-0.5), hidden**-0.5)

    def forward(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """``(B, D)`` candidates, ``(B, T, D)`` events and ``(B,)`` lengths to ``(B, hidden)`` interests."""
        return self._evolved(target_BD, events_BTD, lengths_B)[0]

    def forward_and_loss(
        self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The result of ``forward``, and the weighted auxiliary loss, a float scalar."""
        evolved_BH, states_TBD = self._evolved(target_BD, events_BTD, lengths_B)
        events_BTD = at_least_one_event(events_BTD)
        return evolved_BH, _next_event_loss(states_TBD, events_BTD, lengths_B) * self.auxiliary_weight

    def _evolved(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        expect_shape("target_BD", target_BD, ("batch", self.dim))
        expect_shape("events_BTD", events_BTD, (target_BD.shape[0], "events", self.dim))
        expect_shape("lengths_B", lengths_B, (target_BD.shape[0],))
        events_BTD = at_least_one_event(events_BTD)
        return _evolve(
            self.bilinear(target_BD),
            events_BTD,
            lengths_B,
            float_weights(self.extractor),
            [*float_weights(self.input_gates), *float_weights(self.state_gates)],
        )


@torch.fx.wrap
def _evolve(
    query_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor, extractor: list[Tensor], evolver: list[Tensor]
) -> tuple[Tensor, Tensor]:
    evolve = _evolve_stepwise
    if torch.compiler.is_compiling():
        # Compilation would unroll the loop, which takes minutes for each number of events. A decorator
        # would import the compiler with this file.
        evolve = torch.compiler.disable(_evolve_stepwise)
    return evolve(query_BD, events_BTD, lengths_B, extractor, evolver)


def _evolve_stepwise(
    query_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor, extractor: list[Tensor], evolver: list[Tensor]
) -> tuple[Tensor, Tensor]:
    # A CPU without bfloat16 instructions runs a recurrence under autocast 15 times slower. torch.export
    # cannot save a program with a scan inside an autocast region (torch 2.13).
    without_autocast = torch.autocast(events_BTD.device.type, enabled=False)
    with nullcontext() if is_dynamic(events_BTD.shape[1]) else without_autocast:
        dtype = extractor[0].dtype
        events_TBD = events_BTD.to(dtype).transpose(0, 1)
        if is_dynamic(events_BTD.shape[1]):
            states_TBD = gru([extractor], events_TBD)
        else:
            start = events_TBD.new_zeros(1, *query_BD.shape)
            states_TBD, _ = torch.gru(events_TBD, start, extractor, True, 1, 0.0, False, False, False)
        logits_BT = (states_TBD.transpose(0, 1) @ query_BD.to(dtype).unsqueeze(2)).squeeze(2)
        # Not -inf: the softmax of an empty history would be NaN.
        padding_BT = ~real_events(events_BTD, lengths_B)
        # A weight of zero keeps the state, so the last state is that after the newest event.
        weights_BT = logits_BT.masked_fill(padding_BT, -1e4).softmax(1).masked_fill(padding_BT, 0.0)
        return _augru(functional.linear(states_TBD, *evolver[:2]), weights_BT, evolver[2]), states_TBD


def _augru(inputs_TBG: Tensor, weights_BT: Tensor, state_gates_GH: Tensor) -> Tensor:
    """The last state; all that does not depend on a state is in ``inputs_TBG`` already."""
    width = state_gates_GH.shape[1]
    gates_HG = state_gates_GH.t()

    def step(state_BH: Tensor, inputs_BG: Tensor, weight_B1: Tensor) -> Tensor:
        from_inputs, new = inputs_BG.split((2 * width, width), 1)
        from_state, back = (state_BH @ gates_HG).split((2 * width, width), 1)
        reset, update = torch.sigmoid(from_inputs + from_state).chunk(2, 1)
        return torch.lerp(state_BH, torch.tanh(torch.addcmul(new, reset, back)), update * weight_B1)

    state_BH = inputs_TBG.new_zeros(inputs_TBG.shape[1], width)
    weights_TB1 = weights_BT.t().unsqueeze(2)
    if is_dynamic(inputs_TBG.shape[0]):
        both = (inputs_TBG, weights_TB1)
        # A scan wants an output of each step, which may not be the state itself.
        return scan(lambda state, given: (step(state, *given), given[1].clone()), state_BH, both)[0]
    for inputs_BG, weight_B1 in zip(inputs_TBG.unbind(0), weights_TB1.unbind(0), strict=True):
        state_BH = step(state_BH, inputs_BG, weight_B1)
    return state_BH


@torch.fx.wrap
def _next_event_loss(states_TBD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    rows, _, width = events_BTD.shape
    states_BTD, next_BTD = states_TBD[:-1].transpose(0, 1), events_BTD[:, 1:]
    others_B = lengths_B.roll(-1)
    counted_BT = real_events(events_BTD, lengths_B)[:, 1:] & (others_B > 0).unsqueeze(1) & (rows > 1)
    positions_T = torch.arange(1, events_BTD.shape[1], device=lengths_B.device)
    positions_BT = positions_T % others_B.clamp(min=1).unsqueeze(1)
    negatives_BTD = events_BTD.roll(-1, 0).gather(1, positions_BT.unsqueeze(2).expand(-1, -1, width).long())
    losses_BT = functional.softplus(-(states_BTD * next_BTD).sum(2))
    losses_BT = losses_BT + functional.softplus((states_BTD * negatives_BTD).sum(2))
    return losses_BT.masked_fill(~counted_BT, 0.0).sum() / counted_BT.sum().clamp(min=1)
