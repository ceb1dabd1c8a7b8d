"""RankerArch: the part of a ranker above its tables."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from torchrec_ext import plugins
from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.checks import expect_at_least
from torchrec_ext.contracts import Head, Interaction, SupervisedTargetAttention, TargetAttention
from torchrec_ext.embeddings.pad_history import pad_history
from torchrec_ext.errors import InputError
from torchrec_ext.mlp import MLP
from torchrec_ext.models.event_vectors import event_vectors, target_vectors
from torchrec_ext.padding import real_events

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import JaggedTensor


class RankerArch(nn.Module):
    """The part of a ranker above its tables, which TorchRec traces as one step.

    Args:
        dim: D, width of the looked-up vectors.
        inputs: what the model reads.
        interaction: of the field vectors.
        attention: of the item and the history, or None.
        over_arch: see :class:`Ranker`, as ``head`` and ``tasks``.
        head: to the logits.
        tasks: number of logits.
        dense_width: total width of ``inputs.dense``.
        first_order: whether there is a bias and a linear term of the numbers.
    """

    def __init__(
        self,
        dim: int,
        inputs: Inputs,
        interaction: Interaction,
        attention: TargetAttention | None,
        over_arch: Sequence[int] | nn.Module | None,
        head: Head | Callable[..., Head] | str,
        tasks: int,
        dense_width: int = 0,
        first_order: bool = False,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.max_length = inputs.max_length
        self.dense_arch = nn.Linear(dense_width, dim) if inputs.dense else None
        self.attention = attention
        width = dim if attention is None else attention.out_dim
        self.project = nn.Identity() if width == dim else nn.Linear(width, dim)
        self.interaction = interaction
        self.has_custom_over_arch = isinstance(over_arch, nn.Module)
        self.hidden = None if over_arch is None or isinstance(over_arch, nn.Module) else tuple(over_arch)
        self.over, self.head = _build_over_arch(interaction.out_dim, over_arch, head, tasks)
        if first_order and not getattr(self.head, "additive", True):
            raise InputError(
                f"first_order is True, but a term added to the logits of {type(self.head).__name__} would "
                "break its products; pass first_order=False"
            )
        self.bias = nn.Parameter(torch.zeros(tasks)) if first_order else None
        self.linear = nn.Linear(dense_width, tasks, bias=False) if first_order and inputs.dense else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)

    def forward(
        self,
        fields_BFD: Tensor | None,
        sequences: "dict[str, JaggedTensor]",
        weights_BT: Tensor | None,
        batch: Batch,
    ) -> Tensor:
        """The result of :meth:`Ranker.look_up`, and the batch, to ``(B, tasks)`` logits."""
        vectors: tuple[Tensor, ...] = ()
        if self.attention is not None:
            history = self._history(sequences, batch)
            vectors = history[0], self.attention(*history)
        return self._logits(fields_BFD, batch.dense, *vectors) + self._linear(weights_BT, batch.dense)

    def forward_and_loss(
        self,
        fields_BFD: Tensor | None,
        sequences: "dict[str, JaggedTensor]",
        weights_BT: Tensor | None,
        batch: Batch,
    ) -> tuple[Tensor, Tensor]:
        """The logits, and the loss of a :class:`SupervisedTargetAttention`."""
        assert isinstance(self.attention, SupervisedTargetAttention)
        history = self._history(sequences, batch)
        interest_BH, loss = self.attention.forward_and_loss(*history)
        logits_BT = self._logits(fields_BFD, batch.dense, history[0], interest_BH)
        return logits_BT + self._linear(weights_BT, batch.dense), loss

    def _linear(self, weights_BT: Tensor | None, dense: Tensor) -> Tensor | float:
        """The first-order term of the logits."""
        terms = [self.bias, weights_BT, None if self.linear is None else self.linear(dense)]
        return sum(term for term in terms if term is not None)

    def _history(self, sequences: "dict[str, JaggedTensor]", batch: Batch) -> tuple[Tensor, ...]:
        """What the attention takes."""
        target_BD = target_vectors(sequences, self.inputs, batch)
        events = event_vectors(sequences, self.inputs, batch)
        events_BTD, lengths_B = pad_history(events, self.max_length)
        if batch.history_matches is None:
            return target_BD, events_BTD, lengths_B
        real_BT = real_events(events_BTD, lengths_B)
        return target_BD, events_BTD, lengths_B, real_BT.masked_scatter(real_BT, batch.history_matches)

    def _logits(
        self,
        fields_BFD: Tensor | None,
        dense: Tensor,
        target_BD: Tensor | None = None,
        interest_BH: Tensor | None = None,
    ) -> Tensor:
        parts = [] if fields_BFD is None else [fields_BFD]
        if self.dense_arch is not None:
            parts.append(self.dense_arch(dense)[:, None])
        if target_BD is not None and interest_BH is not None:
            parts += [target_BD[:, None], self.project(interest_BH)[:, None]]
        return self.head(self.over(self.interaction(torch.cat(parts, 1))))


def _build_over_arch(
    width: int,
    over_arch: Sequence[int] | nn.Module | None,
    head: Head | Callable[..., Head] | str,
    tasks: int,
) -> tuple[nn.Module, nn.Module]:
    """Builds over arch and head above an interaction of that width."""
    if over_arch is None:
        if width != tasks:
            raise InputError(
                f"over_arch is None, so the interaction's output must be the {tasks} logit(s), "
                f"but it is {width} wide; pass over_arch=() for a linear head"
            )
        if head != "single":
            raise InputError("over_arch is None, so there is no head; pass over_arch=() for one")
        return nn.Identity(), nn.Identity()
    if isinstance(over_arch, nn.Module):
        out = getattr(over_arch, "out_dim", None)
        if not isinstance(out, int):
            raise InputError(
                f"over_arch {type(over_arch).__name__} has no out_dim, the width of its output; set it"
            )
        return over_arch, plugins.make("heads", head, in_dim=out, tasks=tasks)
    for size in over_arch:
        expect_at_least(1, over_arch=size)
    over = MLP(width, over_arch) if over_arch else nn.Identity()
    return over, plugins.make("heads", head, in_dim=over_arch[-1] if over_arch else width, tasks=tasks)
