"""StreamingStates: a user's state advances by one step an event, whatever the length of the history."""

import numpy as np
import torch
from torch import Tensor

from torchrec_ext.contracts import MaskedEncoder, StreamingEncoder
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError
from torchrec_ext.models.event_vectors import mix_event
from torchrec_ext.models.segment_means import segment_means
from torchrec_ext.serving.local_model import LocalRetriever
from torchrec_ext.serving.user_history import UserHistory


class StreamingStates:
    """Keeps the states of a streaming encoder with the histories.

    A state that was read anew stands for the events that a history keeps; later events are added to it, so
    it remembers more than a list of the newest ones does.

    Args:
        model: a retriever with a :class:`~torchrec_ext.contracts.StreamingEncoder`.
        preparation: of the model.
        times: whether the model was trained on data with times.
    """

    def __init__(self, model: LocalRetriever, preparation: Preparation, times: bool) -> None:
        if not is_streaming(model):
            raise InputError("the encoder of the model reads whole histories; it has no states to keep")
        self.model, self.preparation, self.times = model, preparation, times

    def state_of(self, history: UserHistory) -> Tensor:
        """``(H,)`` state of the newest event of a history; zeros for an empty one."""
        encoder = self.model.towers.query_tower.encoder
        assert isinstance(encoder, StreamingEncoder)
        if not len(history):
            return torch.zeros(encoder.out_dim)
        known = history.encoded is not None and history.unread <= len(history)
        state = history.encoded[0] if history.encoded is not None and known else encoder.initial_state(1)
        first = len(history) - history.unread if known else 0
        output = history.encoded[1] if history.encoded is not None else None
        vectors_TD = self._vectors(history, first)
        for place, vector_D in enumerate(vectors_TD, first):
            time = torch.tensor([history.times[place]], dtype=torch.float64) if self.times else None
            state, output = encoder.step(state, vector_D[None], time)
        history.encoded, history.unread = (state, output), 0
        assert output is not None
        return output[0]

    def _vectors(self, history: UserHistory, first: int) -> Tensor:
        """``(T, D)`` vectors of the events from one on."""
        items = np.array(history.items[first:], np.int64)
        vectors_TD = self._look_up("history", items)
        for name in self.model.inputs.history_fields:
            if name in history.context:
                lists = [v if isinstance(v, list) else [v] for v in history.context[name][first:]]
                values = np.array([value for own in lists for value in own], np.int64)
                counts = np.array([len(own) for own in lists], np.int64)
            else:
                values, counts = self.preparation.sides["item"].ids(name, items)
            feature_TD = segment_means(self._look_up(f"history_{name}", values), torch.from_numpy(counts))
            vectors_TD = mix_event(vectors_TD, feature_TD, self.model.inputs.history_mix)
        return vectors_TD

    def _look_up(self, key: str, rows: np.ndarray) -> Tensor:
        table = self.model.embeddings.sequences[key]
        rows = self.preparation.trained.or_unknown(table, rows)
        return self.model.embeddings.tables[table](torch.tensor(rows))


def is_streaming(model: object) -> bool:
    """Whether a model is a retriever whose encoder reads one event at a time."""
    encoder = model.towers.query_tower.encoder if isinstance(model, LocalRetriever) else None
    return isinstance(encoder, StreamingEncoder) and not isinstance(encoder, MaskedEncoder)
