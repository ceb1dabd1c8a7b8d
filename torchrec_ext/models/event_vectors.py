"""Vectors of the events of a history: the sum of the item's vector and those of the event's features."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torchrec_ext.batch import Batch
from torchrec_ext.errors import InputError
from torchrec_ext.models.segment_means import segment_means
from torchrec_ext.schema import Schema, expect_names

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import JaggedTensor


def event_vectors(
    sequences: "dict[str, JaggedTensor]", fields: Sequence[str], batch: Batch
) -> "JaggedTensor":
    """Adds up the vectors of each event, before an encoder reads them.

    An event without an item, such as a search, has the vector of the unknown item and those of its features.

    Args:
        sequences: looked-up vectors by key.
        fields: features of the events, such as their type; the mean of several ids is added.
        batch: the batch that was looked up.

    Returns:
        The (sum, D) vectors of the events of each example.
    """
    history = sequences["history"]
    if not fields:
        return history
    values_ED = history.values()
    for name in fields:
        vectors = sequences[f"history_{name}"].values()
        lengths_E = batch.history_lengths.get(name)
        values_ED = values_ED + (vectors if lengths_E is None else segment_means(vectors, lengths_E))
    same = type(history)  # without TorchRec it is a plain one
    return same(values=values_ED, lengths=history.lengths(), offsets=history.offsets_or_none())


def history_fields_of(schema: Schema, names: Sequence[str], reads_history: bool) -> tuple[str, ...]:
    """Checks the chosen features of a history's events.

    Args:
        schema: of the data.
        names: categorical features of the context.
        reads_history: whether the model reads a history.

    Raises:
        InputError: if one is not such a feature, or the model reads no history.
    """
    expect_names("history_fields", names)
    there = schema.features_of("context")
    for name in names:
        if name not in there:
            raise InputError(
                f"history_fields names {name!r}, which is not a categorical feature of the events; there are "
                f"{', '.join(there) or 'none'}"
            )
    if names and not reads_history:
        raise InputError(
            f"history_fields names {', '.join(names)}, but the model reads no history; leave it out"
        )
    return tuple(names)
