"""predict(): scores of given pairs of user and item."""

import numpy as np
import pandas as pd

from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.events import Events, expect_events
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.known_items import expect_kind_of_items
from torchrec_ext.retrieval.known_users import KnownUsers
from torchrec_ext.retrieval.request_context import context_read
from torchrec_ext.retrieval.score_pairs import score_pairs
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained
from torchrec_ext.schema import DenseFeature, Feature


def predict(
    model: TrainedModel, data: Events, pairs: pd.DataFrame, *, progress: bool = False
) -> pd.DataFrame:
    """Scores pairs of user and item; every rank must call it with the same ones.

    Args:
        model: trained by fit, opened by load, or a :class:`TrainedModel` of your own.
        data: the events known now, which histories are read from.
        pairs: columns ``user`` and ``item`` (ids as in the data; a column may be absent where the training
            data had no such ids), and the context columns that the model reads.
        progress: shows a bar on rank 0.

    Returns:
        The pairs in their order with a column ``score``: a ranker's probability of interest, a
        retriever's score; and ``known``, whether training has learnt from both user and item. One that it has
        not is scored with the vector of unknown ids, and with its side features if it has any.

    Raises:
        InputError: if a column is missing, an argument is of another kind, the items are strings where those
            of training are integers, or the other way round, or a score is NaN.
    """
    expect_trained(model)
    expect_events(data)
    if not isinstance(pairs, pd.DataFrame):
        raise InputError(f"pairs should be a DataFrame of user and item, received {type(pairs).__name__}")
    preparation = model.preparation
    context = context_features(model)
    own = preparation.schema.features_of("user", "item")
    ids = [entity for entity in ("user", "item") if entity in own]
    for column in (*ids, *(f.column for f in context)):
        if column not in pairs:
            there = ", ".join(map(str, pairs.columns))
            raise InputError(f"pairs lack the column {column!r}; they have {there}")
    known = KnownUsers(preparation, data)
    users = np.full(len(pairs), known.unknown_user)
    items = np.zeros(len(pairs), np.int64)
    all_known = np.ones(len(pairs), bool)
    if "user" in ids:
        users = known.find(pairs["user"])
        all_known &= preparation.trained.known("user", known.log.user_rows[users])
    if "item" in ids:
        expect_kind_of_items(preparation, pairs["item"], "pairs")
        items = preparation.vocabularies["item"].rows(pairs["item"])
        all_known &= preparation.trained.known("item", items)
    with inference(model.module):
        scores = score_pairs(
            model.module,
            Batcher(preparation, known.log, model.inputs),
            users,
            known.log.offsets[users + 1],
            items,
            {f.name: preparation.context(f, pairs[f.column]) for f in context},
            progress=progress,
        )
    if bad := int(scores.isnan().sum()):
        raise InputError(
            f"the model gives {bad:,} of {len(pairs):,} pairs a score that is not a number; did its training "
            "diverge? Train it with a lower learning_rate, or open an older checkpoint"
        )
    return pairs.assign(score=scores.numpy(), known=all_known)


def context_features(model: TrainedModel) -> list[Feature | DenseFeature]:
    """The features of the context that a model reads of each pair."""
    return context_read(model.inputs, model.preparation)
