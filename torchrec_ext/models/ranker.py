"""Ranker: crosses the fields of user, item and context into the logits of a pair."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchrec.modules.mlp import MLP
from torchrec.sparse.jagged_tensor import JaggedTensor

from torchrec_ext import contracts, plugins
from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.checks import expect_at_least
from torchrec_ext.contracts import Head, Interaction, SupervisedTargetAttention, TargetAttention
from torchrec_ext.embeddings import Embeddings, FirstOrder, pad_history
from torchrec_ext.errors import InputError
from torchrec_ext.models.event_vectors import event_vectors, history_fields_of
from torchrec_ext.schema import Schema, expect_names, expect_schema


class Ranker(contracts.Ranker):
    """Pairs of user and item to logits: sparse arch, interaction, over arch, head, and a first-order term.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        fields: features that are crossed, categorical or numeric; all numeric features together
            become one more field. None takes every feature of the schema.
        interaction: of the field vectors: an instance, a name such as ``"dot"``, or a class or function that
            takes ``num_fields`` and ``dim``.
        target_attention: attention of the item over the user's history. Its result and the item's vector are
            two more fields; the item is then not a pooled field, because the history uses its table.
        over_arch: hidden sizes of the layers above the interaction, with ReLU; a custom
            module with ``out_dim``; or None if the interaction's output is the logit.
        tasks: number of logits.
        max_length: newest events of a history that target attention reads.
        head: from the over arch to the logits: an instance, a class or a name such as ``"mmoe"``.
        history_fields: categorical context features of the history's events that are added to their
            items' vectors, such as ``context_type``; they are then not pooled fields.
        first_order: whether the logits also have the linear term of a factorization machine: for each task
            a weight for each id of the fields and for each number, and a bias. With few fields an
            interaction such as ``"dot"`` needs it to rank items by their popularity.

    Raises:
        InputError: for an unknown feature or name, or an interaction whose output is not a logit.

    Example:
        >>> from torchrec_ext.schema import Feature, Table
        >>> schema = Schema(
        ...     (Table("user", 11), Table("item", 21)),
        ...     (Feature("user", "user", "user", "user"), Feature("item", "item", "item", "item")),
        ... )
        >>> Ranker(schema, dim=50, interaction="dot", over_arch=None).inputs.fields
        ('user', 'item')
    """

    def __init__(
        self,
        schema: Schema,
        dim: int = 16,
        fields: Sequence[str] | None = None,
        interaction: Interaction | Callable[..., Interaction] | str = "dot",
        target_attention: TargetAttention | Callable[..., TargetAttention] | str | None = None,
        over_arch: Sequence[int] | nn.Module | None = (64,),
        tasks: int = 1,
        max_length: int = 50,
        head: Head | Callable[..., Head] | str = "single",
        history_fields: Sequence[str] = (),
        first_order: bool = True,
    ) -> None:
        super().__init__()
        expect_at_least(1, dim=dim, tasks=tasks, max_length=max_length)
        expect_schema(schema)
        expect_names("fields", fields)
        self.schema = schema
        self.dim = dim
        categorical = schema.features_of("user", "item", "context")
        numeric = schema.dense_of("user", "item", "context")
        self.fields = (*categorical, *numeric) if fields is None else tuple(fields)
        for name in self.fields:
            if name not in categorical + numeric:
                there = ", ".join(categorical + numeric)
                raise InputError(f"fields names {name!r}, which the data does not have; there are {there}")
        self.tasks = tasks
        self.max_length = max_length
        attention: TargetAttention | None = None
        if target_attention is not None:
            attention = plugins.make("target_attention", target_attention, dim=dim)
        self.history_fields = history_fields_of(schema, history_fields, reads_history=attention is not None)
        attended = {"item", *self.history_fields} if attention is not None else set()
        self.inputs = Inputs(
            fields=tuple(n for n in categorical if n in self.fields and n not in attended),
            dense=tuple(n for n in numeric if n in self.fields),
            max_length=max_length if attention is not None else 0,
            history_fields=self.history_fields,
            candidates=attention is not None,
        )
        count = len(self.inputs.fields) + bool(self.inputs.dense) + (2 if attention is not None else 0)
        if not count:
            raise InputError("fields is empty; name at least one feature, or pass a target_attention")
        crossed = plugins.make("interactions", interaction, num_fields=count, dim=dim)
        self.embeddings = Embeddings(schema, dim, self.inputs)
        self.first_order = first_order
        weighted = first_order and (self.inputs.fields or self.inputs.candidates)
        self.id_weights = FirstOrder(schema, self.inputs, tasks) if weighted else None
        self.arch = RankerArch(
            dim,
            self.inputs,
            crossed,
            attention,
            over_arch,
            head,
            tasks,
            schema.dense_width(self.inputs.dense),
            first_order,
        )

    @property
    def interaction(self) -> Interaction:
        """The interaction of the fields."""
        return self.arch.interaction

    @property
    def target_attention(self) -> TargetAttention | None:
        """The attention of the item over the history, if there is one."""
        return self.arch.attention

    @property
    def over_arch(self) -> tuple[int, ...] | nn.Module | None:
        """The over arch, as passed to the constructor."""
        return self.arch.over if self.arch.has_custom_over_arch else self.arch.hidden

    @property
    def head(self) -> Head | str:
        """The head; without an over arch there is none."""
        return self.arch.head if isinstance(self.arch.head, Head) else "single"

    def forward(self, batch: Batch) -> Tensor:
        """A batch of B pairs to ``(B, tasks)`` logits; every rank must call it."""
        return self.arch(*self.look_up(batch), batch)

    def look_up(self, batch: Batch) -> tuple[Tensor | None, dict[str, JaggedTensor], Tensor | None]:
        """Looks up the inputs of :class:`RankerArch`; every rank must call it.

        Returns:
            ``(B, F, D)`` pooled fields or None, the vectors of each sequence by its key, and the
            ``(B, tasks)`` sums of the ids' weights or None.
        """
        weights_BT = None if self.id_weights is None else self.id_weights(batch)
        return *self.embeddings(batch), weights_BT


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
        self.history_fields = inputs.history_fields
        self.max_length = inputs.max_length
        self.dense_arch = nn.Linear(dense_width, dim) if inputs.dense else None
        self.attention = attention
        width = dim if attention is None else attention.out_dim
        self.project = nn.Identity() if width == dim else nn.Linear(width, dim)
        self.interaction = interaction
        self.has_custom_over_arch = isinstance(over_arch, nn.Module)
        self.hidden = None if over_arch is None or isinstance(over_arch, nn.Module) else tuple(over_arch)
        self.over, self.head = _build_over_arch(interaction.out_dim, over_arch, head, tasks)
        self.bias = nn.Parameter(torch.zeros(tasks)) if first_order else None
        self.linear = nn.Linear(dense_width, tasks, bias=False) if first_order and inputs.dense else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)

    def forward(
        self,
        fields_BFD: Tensor | None,
        sequences: dict[str, JaggedTensor],
        weights_BT: Tensor | None,
        batch: Batch,
    ) -> Tensor:
        """The result of :meth:`Ranker.look_up`, and the batch, to ``(B, tasks)`` logits."""
        vectors: tuple[Tensor, ...] = ()
        if self.attention is not None:
            target_BD, events_BTD, lengths_B = self._history(sequences, batch)
            vectors = target_BD, self.attention(target_BD, events_BTD, lengths_B)
        return self._logits(fields_BFD, batch.dense, *vectors) + self._linear(weights_BT, batch.dense)

    def forward_and_loss(
        self,
        fields_BFD: Tensor | None,
        sequences: dict[str, JaggedTensor],
        weights_BT: Tensor | None,
        batch: Batch,
    ) -> tuple[Tensor, Tensor]:
        """The logits, and the loss of a :class:`SupervisedTargetAttention`."""
        assert isinstance(self.attention, SupervisedTargetAttention)
        target_BD, events_BTD, lengths_B = self._history(sequences, batch)
        interest_BH, loss = self.attention.forward_and_loss(target_BD, events_BTD, lengths_B)
        logits_BT = self._logits(fields_BFD, batch.dense, target_BD, interest_BH)
        return logits_BT + self._linear(weights_BT, batch.dense), loss

    def _linear(self, weights_BT: Tensor | None, dense: Tensor) -> Tensor | float:
        """The first-order term of the logits."""
        terms = [self.bias, weights_BT, None if self.linear is None else self.linear(dense)]
        return sum(term for term in terms if term is not None)

    def _history(self, sequences: dict[str, JaggedTensor], batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        events = event_vectors(sequences, self.history_fields, batch)
        return sequences["candidates"].values(), *pad_history(events, self.max_length)

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
    over = MLP(width, list(over_arch)) if over_arch else nn.Identity()
    return over, plugins.make("heads", head, in_dim=over_arch[-1] if over_arch else width, tasks=tasks)
