"""The fields of a ranker, where none are told."""

from collections.abc import Sequence

from torchrec_ext.data import Dataset

_TYPE = "context_type"


def fields_or_default(told: Sequence[str] | None, train: Dataset) -> tuple[str, ...] | None:
    """The fields as told, or else every feature but one that gives the label away; None for every one.

    Where the data has no ratings, the type of an event stands for one, so a model must not read the type
    of the event it is to judge. That of the events before it is another matter (``history_fields``).

    Args:
        told: the setting.
        train: the training part.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> visits = {"user": [1] * 4, "item": list("abcd"), "type": ["view", "cart", "view", "view"]}
        >>> train, valid, test = leave_last_out(read_events(pd.DataFrame(visits), context=["type"]))
        >>> fields_or_default(None, train)
        ('user', 'item')
    """
    if told is not None:
        return tuple(told)
    known = (
        *train.schema.features_of("user", "item", "context"),
        *train.schema.dense_of("user", "item", "context"),
    )
    if _TYPE not in known or train.table.numbers("rating") is not None:
        return None
    return tuple(name for name in known if name != _TYPE)
