"""Popular items: what a user of whom nothing is known gets."""

import numpy as np
import torch

from torchrec_ext.batch import Inputs
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.distributed import world
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.schema import Schema


def nothing_known(inputs: Inputs, schema: Schema, log: EventLog, users: np.ndarray) -> np.ndarray:
    """Whether there is nothing of a user that the model could go by: neither an event it reads nor a row.

    Args:
        inputs: what the model reads.
        schema: whose features the inputs are.
        log: the known events.
        users: (n,) int64 users of the log.

    Returns:
        (n,) bool.
    """
    no_row = log.user_rows[users] == 0
    if not inputs.max_length:
        return no_row
    no_events = np.diff(log.offsets)[users] == 0
    of_user = {*schema.features_of("user"), *schema.dense_of("user")}
    return no_events & no_row if of_user & {*inputs.fields, *inputs.dense} else no_events


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
