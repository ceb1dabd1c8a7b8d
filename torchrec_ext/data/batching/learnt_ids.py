"""learnt_ids(): what a preparation knows after training on some examples."""

from dataclasses import replace

import numpy as np

from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import slice_positions


def learnt_ids(
    train: Dataset,
    inputs: Inputs,
    users: np.ndarray,
    targets: np.ndarray,
    candidates: Candidates | None = None,
) -> Preparation:
    """The preparation of a training part, of whose ids only those count as trained that the examples hold.

    A user without an example, such as one with a single event where the next one is learnt, has a row
    that nothing trains.

    Args:
        train: the training part.
        inputs: what the model reads.
        users: (n,) int64 users of its log that have an example.
        targets: (m,) item rows of the examples.
        candidates: of the softmax; None for a ranker.
    """
    log, preparation = train.events, train.preparation
    users = np.unique(users)
    items = None
    if candidates is None or candidates.kind == "in_batch":  # else every item competes in some step
        items = targets
        if inputs.max_length:
            read = slice_positions(log.offsets[users], log.offsets[users + 1])
            items = np.concatenate([targets, log.items[read]])
    rows = log.user_rows[users] if len(log.user_rows) else users[:0]
    trained = preparation.trained.among(rows, items)
    return preparation if trained is preparation.trained else replace(preparation, trained=trained)
