"""predict(): scores of given pairs of user and item."""

import pandas as pd
from torch import nn

from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.events import Events
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.encode import inference, inputs_of, preparation_of
from torchrec_ext.retrieval.known_users import KnownUsers
from torchrec_ext.retrieval.score_pairs import score_pairs
from torchrec_ext.schema import DenseFeature, Feature


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
        InputError: if a column is missing, or the model has no data.
    """
    preparation, inputs = preparation_of(model), inputs_of(model)
    features: list[Feature | DenseFeature] = [*preparation.schema.features, *preparation.schema.dense]
    context = [f for f in features if f.entity == "context" and f.name in (*inputs.fields, *inputs.dense)]
    for column in ("user", "item", *(f.column for f in context)):
        if column not in pairs:
            there = ", ".join(map(str, pairs.columns))
            raise InputError(f"pairs lack the column {column!r}; they have {there}")
    known = KnownUsers(preparation, data)
    users = known.find(pairs["user"])
    items = preparation.vocabularies["item"].rows(pairs["item"])
    with inference(model):
        scores = score_pairs(
            model,
            Batcher(preparation, known.log, inputs),
            users,
            known.log.offsets[users + 1],
            items,
            {f.name: preparation.context(f, pairs[f.column]) for f in context},
            progress=progress,
        )
    user_known = known.log.user_rows[users] > 0
    return pairs.assign(score=scores.numpy(), known=user_known & (items > 0))
