"""explain(): which events of a history and which features raise the score of an item."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchrec_ext.batch import Batch
from torchrec_ext.data.batching.batches import Batcher, Context
from torchrec_ext.plain_jagged import PlainKeyedJaggedTensor
from torchrec_ext.serving.live_model import LiveModel
from torchrec_ext.serving.local_model import LocalRetriever
from torchrec_ext.serving.served_event import Id
from torchrec_ext.serving.user_history import UserHistory


@dataclass(frozen=True)
class Explanation:
    """What the score of an item owes to each event and to each feature.

    Args:
        score: of the item.
        history: item and time of each event that the model reads, oldest first; the item is None where the
            model does not know it.
        events: of each event of the history, by how much the score falls without it.
        fields: of each feature that the model reads besides the history, by how much the score falls when
            it is unknown.
    """

    score: float
    history: list[tuple[Id | None, float]]
    events: list[float]
    fields: Mapping[str, float]


@torch.inference_mode()
def explain(
    live: LiveModel, history: UserHistory, row: int, context: Mapping[str, Any] | None = None
) -> Explanation:
    """Explains the score of an item by leaving out one thing at a time (occlusion, Zeiler and Fergus 2014).

    Args:
        live: the model that scores.
        history: of the user.
        row: of the item.
        context: of the moment; None if unknown.
    """
    variants = [history, *(history.without(place) for place in range(len(history)))]
    if not live.inputs.max_length:
        variants = [history]
    values = live.context_values([] if context is None else [context])
    scores = _scores(live, _batch(live, variants, row, values), row)
    score = float(scores[0])
    alone = _batch(live, [history], row, values)
    named = (*live.inputs.fields, *live.inputs.dense)
    fields = {name: score - float(_scores(live, _without(live, alone, name), row)[0]) for name in named}
    events = (score - scores[1:]).tolist() if len(scores) > 1 else [0.0] * len(history)
    return Explanation(score, live.items_and_times(history), events, fields)


def _batch(live: LiveModel, histories: list[UserHistory], row: int, context: Context) -> Batch:
    log = live.log_of(histories)
    batcher, users = Batcher(live.preparation, log, live.inputs), np.arange(len(histories))
    own = {name: column.take([0] * len(users)) for name, column in context.items()}
    ends = log.offsets[users + 1]
    if isinstance(live.model.module, LocalRetriever):
        return batcher.queries(users, ends, own)
    return batcher.pairs(users, ends, np.full(len(users), row), own)


def _scores(live: LiveModel, batch: Batch, row: int) -> Tensor:
    """(B,) scores of the item, as lists have them."""
    module = live.model.module
    if not isinstance(module, LocalRetriever):
        return module(batch)[:, 0].sigmoid()
    queries = module.encode_queries(batch).float()
    item_1D = live.vectors[live.place(row)][None].float()
    if queries.dim() == 2:
        return module.scorer(queries, item_1D)[:, 0]
    return module.scorer(queries.flatten(0, 1), item_1D).view(queries.shape[:2]).amax(1)


def _without(live: LiveModel, batch: Batch, name: str) -> Batch:
    """The same example with a feature unknown."""
    if name in live.inputs.dense:
        dense, start = batch.dense.clone(), 0
        for other in live.inputs.dense:
            width = live.preparation.schema.dense_width([other])
            if other == name:
                dense[:, start : start + width] = _unknown_number(live, name)
            start += width
        return replace(batch, dense=dense)
    ids = batch.fields.to_dict()
    values = [torch.zeros(1, dtype=torch.int64) if key == name else ids[key].values() for key in ids]
    lengths = torch.tensor([len(value) for value in values])
    return replace(batch, fields=PlainKeyedJaggedTensor(list(ids), torch.cat(values), lengths, 1))


def _unknown_number(live: LiveModel, name: str) -> Tensor | float:
    feature = next(f for f in live.preparation.schema.dense if f.name == name)
    if feature.entity == "context":
        return 0.0
    return torch.from_numpy(live.preparation.sides[feature.entity].dense[name][0])
