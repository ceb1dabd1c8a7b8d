"""The context of requests: what describes the moment of a request, such as the device."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.batches import Context, take_context
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.requests import Requests
from torchrec_ext.schema import DenseFeature, Feature


def context_read(inputs: Inputs, preparation: Preparation) -> list[Feature | DenseFeature]:
    """The features of the context that a model reads of each request or pair."""
    read = {*inputs.fields, *inputs.dense}
    return [f for f in preparation.schema.of("context") if f.name in read]


def request_context(
    preparation: Preparation,
    features: Sequence[Feature | DenseFeature],
    requests: Requests,
    context: Mapping[str, Any] | pd.DataFrame | None,
) -> Context:
    """Values of the context features for each of n requests.

    Args:
        preparation: how a column becomes rows or numbers.
        features: the features of the context that the model reads.
        requests: who asks.
        context: see :func:`~torchrec_ext.retrieval.recommend`; None makes every feature unknown.

    Returns:
        Of each feature n rows, lists of them, or numbers.

    Raises:
        InputError: if the model reads no context, a column is missing, or a request has no row or several.
    """
    if context is None:
        return {}
    if not features:
        raise InputError("context is given, but this model reads none; leave it out")
    frame = (
        context if isinstance(context, pd.DataFrame) else pd.DataFrame({k: [v] for k, v in context.items()})
    )
    for feature in features:
        if feature.column not in frame:
            there = ", ".join(map(str, frame.columns)) or "none"
            raise InputError(
                f"context lacks the column {feature.column!r}, which the model reads; it has {there}"
            )
    rows = _row_of_each(frame, requests)
    context = {f.name: preparation.context(f, frame[f.column].reset_index(drop=True)) for f in features}
    return take_context(context, rows)


def _row_of_each(frame: pd.DataFrame, requests: Requests) -> np.ndarray:
    """(n,) int64 row of the frame that each request has."""
    entity = requests.entity
    if entity not in frame:
        if len(frame) == 1:
            return np.zeros(len(requests), np.int64)
        raise InputError(
            f"context has {len(frame)} rows and no column {entity!r}; give one row for everybody, or that "
            f"column and a row for each {entity}"
        )
    positions = requests.find(frame[entity])
    counts = np.bincount(positions[positions >= 0], minlength=len(requests))
    if (counts != 1).any():
        place = int(np.argmax(counts != 1))
        who = requests.ids[[place]].tolist()[0]
        raise InputError(f"context should have one row of {entity} {who!r}; it has {counts[place]}")
    rows = np.zeros(len(requests), np.int64)
    rows[positions[positions >= 0]] = np.flatnonzero(positions >= 0)
    return rows
