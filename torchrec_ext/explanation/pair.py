"""Pair: a user and an item whose score is computed again with parts of the example left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from torchrec_ext import contracts
from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.batches import Batcher, Context, take_context
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import offsets_of, take_rows
from torchrec_ext.explanation.take_feature import take_feature, unknown_features
from torchrec_ext.models.inference import inputs_of, on_device


@dataclass(frozen=True, eq=False)
class Pair:
    """One user and one item. Every rank makes the same calls, and computes the whole of each.

    Scores are those of lists: a retriever's score, or the probability of a ranker's first task.

    Args:
        module: a retriever or ranker in evaluation mode.
        preparation: of the model.
        log: the known events.
        user: of the log.
        row: of the item.
        context: the context features of the moment, one value each.
        item_1D: ``(1, D)`` vector of the item, where a retriever has computed it; None computes it.
    """

    module: nn.Module
    preparation: Preparation
    log: EventLog
    user: int
    row: int
    context: Context = field(default_factory=dict)
    item_1D: Tensor | None = None

    @property
    def inputs(self) -> Inputs:
        """What the model reads."""
        return inputs_of(self.module)

    @property
    def features(self) -> tuple[str, ...]:
        """The features besides the history that the score of the item depends on for this user."""
        return (*self.inputs.fields, *self.inputs.dense)

    @property
    def events(self) -> np.ndarray:
        """(n,) int64 positions in the log of the events that the model reads, oldest first."""
        if not self.inputs.max_length:
            return np.zeros(0, np.int64)
        # a masked encoder puts a hidden event in place of the oldest one
        length = max(self.inputs.max_length - (self.inputs.masked > 0), 1)
        end = int(self.log.offsets[self.user + 1])
        return np.arange(max(int(self.log.offsets[self.user]), end - length), end)

    @property
    def items(self) -> list[Any]:
        """The own ids of the items of these n events; None where the model does not know them."""
        rows = np.asarray(self.log.items)[self.events].astype(np.int64)
        ids = np.full(len(rows), None, object)
        ids[rows > 0] = self.preparation.vocabularies["item"].ids(rows[rows > 0])
        return ids.tolist()

    def batch(self, kept_VE: np.ndarray | None = None) -> Batch:
        """A batch of V examples: the pair with the events that each keeps.

        Args:
            kept_VE: (V, n) bool of :attr:`events`; None for one example with all of them.
        """
        kept_VE = np.ones((1, len(self.events)), bool) if kept_VE is None else kept_VE
        count = len(kept_VE)
        log = self._variants(kept_VE)
        batcher, users = Batcher(self.preparation, log, self.inputs), np.arange(count)
        ends, context = log.offsets[1:], take_context(self.context, np.zeros(count, np.int64))
        if isinstance(self.module, contracts.Retriever):
            batch = batcher.queries(users, ends, context)
        else:
            batch = batcher.pairs(users, ends, np.full(count, self.row), context)
        return on_device(batch, self.module)

    def item_vector(self) -> Tensor:
        """``(1, D)`` vector of the item, of a retriever."""
        if self.item_1D is not None:
            return self.item_1D
        assert isinstance(self.module, contracts.Retriever)
        batcher = Batcher(
            self.preparation, self._variants(np.zeros((1, len(self.events)), bool)), self.inputs
        )
        return self.module.encode_items(on_device(batcher.items(np.array([self.row])), self.module)).float()

    def scores(self, batch: Batch) -> Tensor:
        """``(B,)`` scores of the item for the examples of a batch."""
        if isinstance(self.module, contracts.Retriever):
            return score_queries(self.module, self.module.encode_queries(batch).float(), self.item_vector())
        return self.module(batch)[:, 0].float().sigmoid()

    def scores_with(self, kept_VE: np.ndarray) -> np.ndarray:
        """(V,) float64 scores with the events that each of V examples keeps, (V, n) bool."""
        chunk = max(1, 65536 // max(kept_VE.shape[1], 1))
        parts = [self.scores(self.batch(kept_VE[i : i + chunk])) for i in range(0, len(kept_VE), chunk)]
        return torch.cat(parts).double().cpu().numpy()

    def scores_without(self, features: Sequence[str]) -> np.ndarray:
        """(F,) float64 scores, of each of F features the one when it is unknown."""
        batch, schema = self.batch(), self.preparation.schema
        unknown = unknown_features(batch, self.preparation, self.inputs)
        changed = (take_feature(batch, unknown, name, schema, self.inputs) for name in features)
        return np.array([float(self.scores(one)) for one in changed])

    def _variants(self, kept_VE: np.ndarray) -> EventLog:
        """A log of V users, each the same user with other events."""
        log, rows = self.log, self.events[np.nonzero(kept_VE)[1]]
        return replace(
            log,
            user_ids=pd.RangeIndex(len(kept_VE)),
            user_rows=np.full(len(kept_VE), log.user_rows[self.user]),
            offsets=offsets_of(kept_VE.sum(1)),
            items=np.asarray(log.items)[rows],
            source_rows=np.asarray(log.source_rows)[rows],
            times=None if log.times is None else np.asarray(log.times)[rows],
            ratings=None,
            labels={},
            weights=None,
            context={name: take_rows(column, rows) for name, column in log.context.items()},
        )


def score_queries(module: contracts.Retriever, queries: Tensor, item_1D: Tensor) -> Tensor:
    """``(B, D)`` or ``(B, K, D)`` queries and a ``(1, D)`` item to ``(B,)`` scores, the best of the K."""
    if queries.dim() == 2:
        return module.scorer(queries, item_1D)[:, 0]
    return module.scorer(queries.flatten(0, 1), item_1D).view(queries.shape[:2]).amax(1)
