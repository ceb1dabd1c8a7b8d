"""Popular items: what a user of whom nothing is known gets."""

import numpy as np
import torch

from torchrec_ext.batch import Inputs
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.distributed.process_group import world
from torchrec_ext.retrieval.exact_index import ExactIndex


def is_cold_user(
    inputs: Inputs,
    preparation: Preparation,
    log: EventLog,
    users: np.ndarray,
    ends: np.ndarray | None = None,
) -> np.ndarray:
    """Whether there is nothing of a user that the model could go by.

    It could go by an event of an item that training knows (of any item with a row, if the model reads side
    features of the events' items; any event, if it reads features of the events), by an id that training has
    learnt from, or by side features.

    Args:
        inputs: what the model reads.
        preparation: of the model.
        log: the known events.
        users: (n,) int64 users of the log.
        ends: (n,) int64 end of each user's known events in the log; None for all events.

    Returns:
        (n,) bool.
    """
    schema, rows = preparation.schema, log.user_rows[users]
    read = {*inputs.fields, *inputs.dense} & {*schema.features_of("user"), *schema.dense_of("user")}
    known = np.zeros(len(users), bool)
    if "user" in read or not inputs.max_length:
        known |= preparation.trained.known("user", rows)
    if read - {"user"}:
        known |= rows > 0
    if inputs.max_length:
        of_items = set(inputs.history_fields) & {*schema.features_of("item")}
        readable = log.items > 0 if of_items else preparation.trained.known("item", log.items)
        readable = readable | (len(inputs.history_fields) > len(of_items))
        until = offsets_of(readable)
        ends = log.offsets[users + 1] if ends is None else ends
        known |= until[ends] > until[log.offsets[users]]
    return ~known


def popular_index(log: EventLog, rows: np.ndarray) -> ExactIndex:
    """Indexes items by their number of known events; every rank must call it.

    Events that are only read as history do not count.

    Args:
        log: the known events.
        rows: (C,) int64 ascending item rows that may be recommended.

    Returns:
        An index whose queries are ``(B, 1)`` ones: an item's score is its number of events.
    """
    rank, world_size = world()
    share = -(-len(rows) // world_size)
    mine = rows[rank * share : (rank + 1) * share]
    counts = np.bincount(log.target_items(), minlength=rows.max() + 1)[mine]
    index = ExactIndex()
    index.build(torch.from_numpy(counts.astype(np.float32))[:, None], torch.from_numpy(mine))
    return index
