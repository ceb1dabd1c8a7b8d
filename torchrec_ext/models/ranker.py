"""Ranker: crosses the fields of user, item and context into the logits of a pair."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torchrec.sparse.jagged_tensor import JaggedTensor

from torchrec_ext import contracts, plugins
from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.checks import expect_at_least
from torchrec_ext.contracts import Head, Interaction, SequenceEncoder, TargetAttention
from torchrec_ext.embeddings import Embeddings, FirstOrder
from torchrec_ext.embeddings.pooler import Poolers, encoders_of, make_poolers
from torchrec_ext.errors import InputError
from torchrec_ext.models.event_vectors import history_fields_of
from torchrec_ext.models.ranker_arch import RankerArch
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
        history_fields: categorical features of the history's events that are added to their items' vectors:
            of the context, such as ``context_type``, or of the items, such as ``item_category``, which are
            added to the vector of the scored item too. They are then not pooled fields.
        shallow: those of the categorical fields that are not crossed, but have a weight for each id in the
            first-order term. What biases a click, such as the position in view, is learnt so and then taken
            out: if it is unknown or the same of all items, it does not change their order. The shallow tower
            of "Recommending What Video to Watch Next" (Zhao et al. 2019, section 4.3) with one layer.
        first_order: whether the logits also have the linear term of a factorization machine: for each task
            a weight for each id of the fields and for each number, and a bias. With few fields an
            interaction such as ``"dot"`` needs it to rank items by their popularity.
        poolers: for fields of several ids, such as the words of a title, an encoder that reads them in their
            order: ``{"item_title": "text_cnn"}``. The vectors of other ids are averaged.

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
        shallow: Sequence[str] = (),
        poolers: Poolers | None = None,
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
        expect_names("shallow", shallow)
        self.shallow = tuple(shallow)
        may_be_shallow = [n for n in categorical if n in self.fields and n != "item" and first_order]
        for name in self.shallow:
            if name not in may_be_shallow:
                raise InputError(
                    f"shallow names {name!r}, which is not one of the categorical fields of a ranker with "
                    f"first_order=True; choose from {', '.join(may_be_shallow) or 'none'}"
                )
        self.tasks = tasks
        self.max_length = max_length
        attention: TargetAttention | None = None
        if target_attention is not None:
            attention = plugins.make("target_attention", target_attention, dim=dim)
        self.history_fields = history_fields_of(schema, history_fields, reads_history=attention is not None)
        match = None if attention is None else attention.match
        of_items = [name for name in schema.features_of("item") if name != "item"]
        if match is not None and match not in of_items:
            raise InputError(
                f"target_attention matches {match!r}, which is not a categorical feature of the items; "
                f"there are {', '.join(of_items) or 'none'}"
            )
        attended = {"item", *self.history_fields} if attention is not None else set()
        self.inputs = Inputs(
            fields=tuple(n for n in categorical if n in self.fields and n not in attended),
            dense=tuple(n for n in numeric if n in self.fields),
            max_length=max_length if attention is not None else 0,
            history_fields=self.history_fields,
            candidates=attention is not None,
            candidate_fields=tuple(n for n in self.history_fields if n in of_items),
            shallow=self.shallow,
            match=match,
        )
        count = len(self.inputs.pooled) + bool(self.inputs.dense) + (2 if attention is not None else 0)
        if not count:
            raise InputError("fields is empty; name at least one feature, or pass a target_attention")
        crossed = plugins.make("interactions", interaction, num_fields=count, dim=dim)
        of_several = [name for name in self.inputs.pooled if schema.feature(name).many]
        self.embeddings = Embeddings(
            schema, dim, self.inputs, make_poolers(poolers, dim, of_several, "fields")
        )
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
    def poolers(self) -> dict[str, SequenceEncoder]:
        """The encoders of fields of several ids."""
        return encoders_of(self.embeddings.pool_words.poolers)

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
