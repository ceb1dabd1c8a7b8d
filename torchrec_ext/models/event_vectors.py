"""Vectors of a history's events and of a ranker's candidates: the item's, with those of its features."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from torchrec_ext.batch import Batch, HistoryMix, Inputs
from torchrec_ext.errors import InputError
from torchrec_ext.models.segment_means import segment_means
from torchrec_ext.schema import Schema, expect_names

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import JaggedTensor


def event_vectors(sequences: "dict[str, JaggedTensor]", inputs: Inputs, batch: Batch) -> "JaggedTensor":
    """The vectors of each event, before an encoder reads them.

    An event without an item, such as a search, has that of the unknown item and those of its features.

    Args:
        sequences: looked-up vectors by key.
        inputs: names the features of the events, such as their type; of several ids their mean counts.
        batch: the batch that was looked up.

    Returns:
        The (sum, D) vectors of the events of each example.
    """
    history = sequences["history"]
    if not inputs.history_fields:
        return history
    values_ED = _mixed("history", inputs.history_fields, sequences, batch.history_lengths, inputs.history_mix)
    same = type(history)  # without TorchRec it is a plain one
    return same(values=values_ED, lengths=history.lengths(), offsets=history.offsets_or_none())


def target_vectors(sequences: "dict[str, JaggedTensor]", inputs: Inputs, batch: Batch) -> Tensor:
    """``(C, D)`` vectors of the candidates, with those features that an event's vector has of its item.

    Args:
        sequences: looked-up vectors by key.
        inputs: ``candidate_fields`` names these features.
        batch: the batch that was looked up.
    """
    fields, lengths = inputs.candidate_fields, batch.candidate_lengths
    return _mixed("candidates", fields, sequences, lengths, inputs.history_mix)


def _mixed(
    key: str,
    fields: Sequence[str],
    sequences: "dict[str, JaggedTensor]",
    lengths: Mapping[str, Tensor],
    mix: HistoryMix,
) -> Tensor:
    """``(n, D)`` vectors of the items of a key, with those of the fields."""
    values_ND = sequences[key].values()
    for name in fields:
        vectors, lengths_N = sequences[f"{key}_{name}"].values(), lengths.get(name)
        vectors = vectors if lengths_N is None else segment_means(vectors, lengths_N)
        values_ND = mix_event(values_ND, vectors, mix)
    return values_ND


def mix_event(event: Tensor, feature: Tensor, mix: HistoryMix) -> Tensor:
    """``(..., D)`` vectors of events and of a feature of theirs to those of both.

    Added, a feature says the same of every item. As a scale, each component times ``1 + feature``, it says
    how much an event of its kind counts; compare the products of items and relations in "Graph Heterogeneous
    Multi-Relational Recommendation" (Chen et al. 2021).

    Example:
        >>> import torch
        >>> shoe, purchase = torch.tensor([2.0, 3.0]), torch.tensor([1.0, -1.0])
        >>> mix_event(shoe, purchase, "sum"), mix_event(shoe, purchase, "scale")
        (tensor([3., 2.]), tensor([4., 0.]))
    """
    return event + feature if mix == "sum" else event * (1 + feature)


def history_fields_of(schema: Schema, names: Sequence[str], reads_history: bool) -> tuple[str, ...]:
    """Checks the chosen features of a history's events.

    Args:
        schema: of the data.
        names: categorical features of the context, or side features of the items.
        reads_history: whether the model reads a history.

    Raises:
        InputError: if one is not such a feature, or the model reads no history.
    """
    expect_names("history_fields", names)
    there = [name for name in schema.features_of("context", "item") if name != "item"]
    for name in names:
        if name not in there:
            raise InputError(
                f"history_fields names {name!r}, which is not a categorical feature of the events or of "
                f"their items; there are {', '.join(there) or 'none'}"
            )
    if names and not reads_history:
        raise InputError(
            f"history_fields names {', '.join(names)}, but the model reads no history; leave it out"
        )
    return tuple(names)
