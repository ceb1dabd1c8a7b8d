"""explain(): which events of a history and which features raise the score of an item."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from torchrec_ext.explanation.attribution import Attribution, leave_one_out
from torchrec_ext.explanation.because import popularity, sentence
from torchrec_ext.explanation.pair import Pair
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
        live: the model that was explained.
        row: of the item.
    """

    score: float
    history: list[tuple[Id | None, float]]
    events: list[float]
    fields: Mapping[str, float]
    live: LiveModel
    row: int

    def because(self, titles: list[str | None], title: str) -> str:
        """The reason in one sentence, with the titles of the events and of the item."""
        found = Attribution(self.score, np.array(self.events), self.fields)
        preparation, log = self.live.preparation, self.live.users.log
        popular = None if log is None else lambda: popularity(log, self.row, preparation)
        ids = [None if item is None else str(item) for item, _ in self.history]
        words = [own or id for own, id in zip(titles, ids, strict=True)]
        return sentence(found, words, title, preparation, popular)


@torch.inference_mode()
def explain(
    live: LiveModel, history: UserHistory, row: int, context: Mapping[str, Any] | None = None
) -> Explanation:
    """Explains the score of an item by leaving out one event or one feature at a time.

    Args:
        live: the model that scores.
        history: of the user.
        row: of the item.
        context: of the moment; None if unknown.
    """
    module, vector = live.model.module, None
    if isinstance(module, LocalRetriever):
        vector = live.vectors[live.place(row)][None].float()
    values = live.context_values([] if context is None else [context])
    pair = Pair(module, live.preparation, live.log_of([history]), 0, row, values, vector)
    found = leave_one_out(pair)
    events = [0.0] * (len(history) - len(found.events)) + found.events.tolist()  # those it does not read
    return Explanation(found.score, live.items_and_times(history), events, found.features, live, row)
