"""The default of a ranker's fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchrec_ext.data import Dataset

_TYPE = "context_type"


def fields_or_default(fields: Sequence[str] | None, train: Dataset) -> tuple[str, ...] | None:
    """The fields of the setting; by default every feature except one that reveals the label, None for all.

    Where the data has no ratings, the type of an event stands for one, so a model must not read the type of
    the event that it scores. It may read the types of the events before (``history_fields``).

    Args:
        fields: the setting.
        train: the training part.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> visits = {"user": [1] * 4, "item": list("abcd"), "type": ["view", "cart", "view", "view"]}
        >>> train, valid, test = leave_last_out(read_events(pd.DataFrame(visits), context=["type"]))
        >>> fields_or_default(None, train)
        ('user', 'item')
    """
    if fields is not None:
        return tuple(fields)
    known = (
        *train.schema.features_of("user", "item", "context"),
        *train.schema.dense_of("user", "item", "context"),
    )
    if _TYPE not in known or train.table.numbers("rating") is not None:
        return None
    return tuple(name for name in known if name != _TYPE)
