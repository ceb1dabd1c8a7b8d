"""user_vectors(): the query vectors of a retriever's users."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.events import Events, expect_events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.distributed.process_group import world
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.encode import encode_users, expect_retriever
from torchrec_ext.retrieval.popular import is_cold_user
from torchrec_ext.retrieval.request_context import context_read, request_context
from torchrec_ext.retrieval.requests import requests_of_users
from torchrec_ext.retrieval.vectors import Vectors


def user_vectors(
    module: nn.Module,
    preparation: Preparation,
    data: Events,
    users: Sequence | np.ndarray | pd.Series | None = None,
    context: Mapping[str, Any] | pd.DataFrame | None = None,
    chunk: int = 1024,
) -> Vectors:
    """Query vectors of users after all their events, whole on every rank; every rank must call it alike.

    Args:
        module: a sharded retriever.
        preparation: how ids became rows, and the side features of the users.
        data: every event known now.
        users: own ids; None for all users of ``data``.
        context: see :func:`~torchrec_ext.retrieval.recommend`.
        chunk: users at a time.

    Raises:
        InputError: if the module is not a retriever, or it knows nothing of any of the users.
    """
    model = expect_retriever(module, "user_vectors")
    expect_events(data)
    asked = data.ids("user") if users is None else users
    requests = requests_of_users(preparation, data, asked)
    values = request_context(preparation, context_read(model.inputs, preparation), requests, context)
    cold = is_cold_user(model.inputs, preparation, requests.log, requests.users)
    if cold.any():
        example = requests.ids[cold].tolist()[0]
        if cold.all():
            raise InputError(f"the model knows nothing of any of the {len(cold)} users, such as {example!r}")
        if world()[0] == 0:
            warnings.warn(
                f"the model knows nothing of {cold.sum():,} of the {len(cold):,} users, such as {example!r}; "
                "they are left out",
                stacklevel=2,
            )
    batcher = Batcher(preparation, requests.log, model.inputs)
    warm, parts = np.flatnonzero(~cold), []
    with inference(model):
        for start in range(0, len(warm), chunk):
            some = warm[start : start + chunk]
            own = {name: column[some] for name, column in values.items()}
            parts.append(encode_users(model, batcher, requests.users[some], own).cpu())
    return Vectors(requests.ids[warm], torch.cat(parts))
