"""scored_users(): the labels and scores of each user's pairs, of a ranker's evaluation."""

import numpy as np
import pyarrow as pa
from torch import Tensor

from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.evaluation.user_values import UserValues, as_ids, user_values


def scored_users(
    examples: LabelledEvents, scores: Tensor, known: Dataset, targets: Dataset, preparation: Preparation
) -> UserValues:
    """What is kept of a ranker's evaluation for each user.

    Args:
        examples: the n pairs, a user's side by side.
        scores: (n,) float32 probabilities.
        known: the known events.
        targets: the part that was predicted.
        preparation: of the model.
    """
    users, counts = np.unique(examples.users, return_counts=True)
    offsets = offsets_of(counts)
    columns = {
        "targets": pa.LargeListArray.from_arrays(offsets, as_ids(examples.items, preparation)),
        "labels": pa.LargeListArray.from_arrays(offsets, pa.array(examples.labels[:, 0].astype(np.int8))),
        "scores": pa.LargeListArray.from_arrays(offsets, pa.array(scores.numpy())),
    }
    return user_values(columns, users, known.events, targets, preparation)
