"""What an event of a history is: its item's vector and those of its own features, added up."""

from collections.abc import Sequence

from torchrec.sparse.jagged_tensor import JaggedTensor

from torchrec_ext.batch import Batch
from torchrec_ext.errors import InputError
from torchrec_ext.models.segment_means import segment_means
from torchrec_ext.schema import Schema


def event_vectors(sequences: dict[str, JaggedTensor], fields: Sequence[str], batch: Batch) -> JaggedTensor:
    """The histories' events, before an encoder reads them.

    An event without an item, such as a search, has the vector of the unknown item and its own features.

    Args:
        sequences: looked-up vectors by key.
        fields: features of the events, such as their type; the mean of several ids is added.
        batch: that they were looked up for.

    Returns:
        The (sum, D) vectors of the events of each example.
    """
    history = sequences["history"]
    if not fields:
        return history
    values_ED = history.values()
    for name in fields:
        own = sequences[f"history_{name}"].values()
        lengths_E = batch.history_lengths.get(name)
        values_ED = values_ED + (own if lengths_E is None else segment_means(own, lengths_E))
    return JaggedTensor(values=values_ED, lengths=history.lengths(), offsets=history.offsets_or_none())


def history_fields_of(schema: Schema, names: Sequence[str], reads: bool) -> tuple[str, ...]:
    """The chosen features of a history's events.

    Args:
        schema: of the data.
        names: categorical features of the context.
        reads: whether the model reads a history at all.

    Raises:
        InputError: if one is no such feature, or no history is read.
    """
    there = schema.features_of("context")
    for name in names:
        if name not in there:
            raise InputError(
                f"history_fields names {name!r}, which is no categorical feature of the events; there are "
                f"{', '.join(there) or 'none'}"
            )
    if names and not reads:
        raise InputError(
            f"history_fields names {', '.join(names)}, but the model reads no history; leave it out"
        )
    return tuple(names)
