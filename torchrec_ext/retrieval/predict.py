"""predict(): scores of given pairs of user and item."""

import pandas as pd
from torch import nn

from torchrec_ext.data.batches import Batcher
from torchrec_ext.data.events import Events
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.encode import inference, preparation_of
from torchrec_ext.retrieval.known_users import KnownUsers
from torchrec_ext.retrieval.score_pairs import score_pairs


def predict(model: nn.Module, data: Events, pairs: pd.DataFrame, *, progress: bool = False) -> pd.DataFrame:
    """Scores pairs of user and item; every rank must call it with the same ones.

    Args:
        model: trained by fit or opened by load.
        data: the events known now, which histories are read from.
        pairs: columns ``user`` and ``item``, ids as in the data, and the context columns the model reads.
        progress: shows a bar on rank 0.

    Returns:
        The pairs in their order with a column ``score``: a ranker's probability of interest, a
        retriever's score; and ``known``, whether user and item were there in training. An unknown one
        is scored with the vector of unknown ids.

    Raises:
        InputError: if a column is missing.
    """
    preparation = preparation_of(model)
    for column in ("user", "item"):
        if column not in pairs:
            raise InputError(
                f"pairs lack the column {column!r}; they have {', '.join(map(str, pairs.columns))}"
            )
    known = KnownUsers(preparation, data)
    users = known.find(pairs["user"])
    items = preparation.vocabularies["item"].rows(pairs["item"])
    context = {
        f.name: preparation.context(f, pairs[f.column])
        for f in (*preparation.schema.features, *preparation.schema.dense)
        if f.entity == "context" and f.column in pairs
    }
    batcher = Batcher(preparation, known.log, model.inputs)  # type: ignore[arg-type]
    with inference(model):
        scores = score_pairs(
            model, batcher, users, known.log.offsets[users + 1], items, context, progress=progress
        )
    user_known = known.log.user_rows[users] > 0
    return pairs.assign(score=scores.numpy(), known=user_known & (items > 0))
