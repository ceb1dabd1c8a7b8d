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

    Nothing trains the row of a user without an example, such as one with a single event where the next one
    is learnt. The (n,) users are those of the log, the (m,) targets item rows; a ranker has no candidates.
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
