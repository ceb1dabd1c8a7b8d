"""TwoTower: a query vector and item vectors whose score is a dot product."""

from collections.abc import Callable, Sequence
from typing import get_args

from torch import Tensor

from torchrec_ext import contracts, plugins
from torchrec_ext.batch import Batch, HistoryMix, Inputs
from torchrec_ext.checks import expect_at_least, expect_one_of
from torchrec_ext.contracts import MaskedEncoder, MultiInterestEncoder, Scorer, SequenceEncoder
from torchrec_ext.embeddings import Embeddings
from torchrec_ext.embeddings.pooler import Poolers, encoders_of, make_poolers
from torchrec_ext.errors import InputError
from torchrec_ext.models.event_vectors import history_fields_of
from torchrec_ext.models.towers import ItemTower, QueryTower, Towers
from torchrec_ext.schema import Entity, Schema, expect_names, expect_schema

Encoder = SequenceEncoder | MultiInterestEncoder


class TwoTower(contracts.Retriever):
    """A retriever of a query tower and an item tower over sharded tables.

    The encoder decides how training uses a history: a causal encoder predicts every next event in one pass,
    a masked encoder predicts hidden events, any other encoder predicts each event from those before it.
    With several interests, the score of an item is the best over the interests.

    The history is looked up in the item table, which it shares with the candidates. Without an encoder and
    without fields the query is the user's vector: matrix factorization.

    Args:
        schema: features and tables of the data.
        dim: D, width of the vectors.
        encoder: of the history: an instance, a class or a name such as ``"gru"``; None reads no history.
        query_fields: categorical and numeric features of user and context, besides the history.
        item_fields: categorical and numeric side features of the item tower.
        max_length: newest events of a history that are read, and the window of training.
        scorer: of queries and items: an instance, a class or a name; None takes the dot product.
        query_hidden: sizes of the query tower's layers, with ReLU; without layers it is linear.
        history_fields: categorical features of the history's events that are added to their items' vectors:
            of the context, such as ``context_type``, which cannot be query fields too, because both would
            use one table; or of the items, such as ``item_category``, which item fields share a table with.
        history_mix: how: ``"sum"`` adds them, ``"scale"`` multiplies each component by one plus theirs, so
            that a purchase may count more than a view.
        poolers: for query and item fields of several ids, such as the words of a title, an encoder that
            reads them in their order: ``{"item_title": "text_cnn"}``. The vectors of other ids are averaged.

    Raises:
        InputError: for an unknown feature or name, or an encoder of another width.

    Example:
        >>> from torchrec_ext.schema import Feature, Table
        >>> schema = Schema(
        ...     (Table("user", 11), Table("item", 21)),
        ...     (Feature("user", "user", "user", "user"), Feature("item", "item", "item", "item")),
        ... )
        >>> TwoTower(schema, dim=8, encoder="gru").inputs.every_position
        True
    """

    def __init__(
        self,
        schema: Schema,
        dim: int = 64,
        encoder: Encoder | Callable[..., Encoder] | str | None = None,
        query_fields: Sequence[str] = (),
        item_fields: Sequence[str] = (),
        max_length: int = 200,
        scorer: Scorer | Callable[..., Scorer] | str | None = None,
        query_hidden: Sequence[int] = (),
        history_fields: Sequence[str] = (),
        history_mix: HistoryMix = "sum",
        poolers: Poolers | None = None,
    ) -> None:
        super().__init__()
        expect_at_least(1, dim=dim, max_length=max_length)
        for size in query_hidden:
            expect_at_least(1, query_hidden=size)
        expect_schema(schema)
        expect_names("query_fields", query_fields)
        expect_names("item_fields", item_fields)
        self.schema = schema
        self.dim = dim
        made: Encoder | None = None if encoder is None else plugins.make("encoders", encoder, dim=dim)
        self.query_fields = tuple(query_fields) if made is not None or query_fields else ("user",)
        self.item_fields = tuple(item_fields)
        self.max_length = max_length
        self.query_hidden = tuple(query_hidden)
        self.history_fields = history_fields_of(schema, history_fields, reads_history=made is not None)
        expect_one_of("history_mix", history_mix, get_args(HistoryMix))
        self.history_mix = history_mix
        self.scorer: Scorer = plugins.make("scorers", "dot" if scorer is None else scorer, dim=dim)
        fields, dense = _chosen(schema, self.query_fields, ("user", "context"), "query_fields")
        candidate_fields, candidate_dense = _chosen(schema, self.item_fields, ("item",), "item_fields")
        sequence = made if isinstance(made, SequenceEncoder) else None
        in_context = {*schema.features_of("context"), *schema.dense_of("context")}
        self.inputs = Inputs(
            fields=fields,
            dense=dense,
            max_length=max_length if made is not None else 0,
            history_fields=self.history_fields,
            history_mix=history_mix,
            candidates=True,
            candidate_fields=candidate_fields,
            candidate_dense=candidate_dense,
            # the context belongs to one target, so each target is a separate example
            every_position=sequence is not None and sequence.causal and not in_context & {*fields, *dense},
            masked=made.masked_share if isinstance(made, MaskedEncoder) else 0.0,
        )
        if self.inputs.masked and in_context & {*fields, *dense}:
            raise InputError(
                f"query_fields names {', '.join(sorted(in_context & {*fields, *dense}))}, the context of one "
                f"target, but {type(made).__name__} learns several hidden events at once; leave it out"
            )
        of_several = [name for name in (*fields, *candidate_fields) if schema.feature(name).many]
        pooling = make_poolers(poolers, dim, of_several, "query_fields or item_fields")
        self.embeddings = Embeddings(schema, dim, self.inputs, pooling)
        self.towers = Towers(
            QueryTower(dim, self.inputs, made, self.query_hidden, schema.dense_width(dense)),
            ItemTower(dim, self.inputs, schema.dense_width(candidate_dense), pooling),
        )

    @property
    def query_tower(self) -> QueryTower:
        """The query tower: looked-up vectors to queries."""
        return self.towers.query_tower

    @property
    def item_tower(self) -> ItemTower:
        """The item tower: looked-up vectors to candidates."""
        return self.towers.item_tower

    @property
    def encoder(self) -> Encoder | None:
        """The encoder of the history, which the query tower holds."""
        return self.query_tower.encoder

    @property
    def poolers(self) -> dict[str, SequenceEncoder]:
        """The encoders of fields of several ids."""
        return encoders_of(self.embeddings.pool_words.poolers) | encoders_of(self.item_tower.poolers)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The queries of a training batch's labels and its ``(C, D)`` candidates; every rank must call it."""
        fields_BFD, sequences = self.embeddings(batch)
        return self.towers(fields_BFD, sequences, batch, self.inputs.per_event_labels)

    def encode_queries(self, batch: Batch) -> Tensor:
        """Users of a batch to ``(B, D)`` query vectors; every rank must call it."""
        fields_BFD, sequences = self.embeddings(batch)
        return self.query_tower(fields_BFD, sequences, batch)

    def encode_items(self, batch: Batch) -> Tensor:
        """Candidates of a batch to ``(C, D)`` item vectors; every rank must call it."""
        _, sequences = self.embeddings(batch)
        return self.item_tower(sequences, batch)


def _chosen(
    schema: Schema, names: Sequence[str], entities: tuple[Entity, ...], argument: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Checks the chosen features, and returns the categorical and the numeric ones."""
    fields = tuple(n for n in names if n in schema.features_of(*entities))
    dense = tuple(n for n in names if n in schema.dense_of(*entities))
    for name in names:
        if name not in fields + dense:
            there = (*schema.features_of(*entities), *schema.dense_of(*entities))
            raise InputError(
                f"{argument} names {name!r}, which is not a feature of {' or '.join(entities)}; "
                f"there are {', '.join(there)}"
            )
    return fields, dense
