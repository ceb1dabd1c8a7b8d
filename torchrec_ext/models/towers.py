"""The query and the item tower: looked-up vectors to the vectors that are scored."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.contracts import MaskedEncoder, MultiInterestEncoder, SequenceEncoder
from torchrec_ext.embeddings.last_state import last_state
from torchrec_ext.embeddings.pad_history import pad_history
from torchrec_ext.embeddings.pooler import Pooler, choose_poolers
from torchrec_ext.mlp import MLP
from torchrec_ext.models.event_vectors import event_vectors
from torchrec_ext.models.segment_means import segment_means
from torchrec_ext.padding import real_events
from torchrec_ext.plain_jagged import PlainJaggedTensor

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import JaggedTensor


class QueryTower(nn.Module):
    """User fields, numbers and a history to one query vector, several interests, or one vector per event.

    Args:
        dim: D, width of the looked-up vectors and of the query.
        inputs: what the model reads.
        encoder: of the history, or None.
        hidden: sizes of the layers above all of them, with ReLU.
        dense_width: total width of ``inputs.dense``.
    """

    def __init__(
        self,
        dim: int,
        inputs: Inputs,
        encoder: SequenceEncoder | MultiInterestEncoder | None,
        hidden: Sequence[int] = (),
        dense_width: int = 0,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.encoder = encoder
        fields_width = dim * len(inputs.fields) + dense_width
        width = fields_width + (encoder.out_dim if encoder is not None else 0)
        only_history = fields_width == 0 and width == dim
        only_one_field = encoder is None and fields_width == dim and len(inputs.fields) == 1
        if hidden:
            self.project: nn.Module = nn.Sequential(MLP(width, hidden), nn.Linear(hidden[-1], dim))
        else:
            self.project = nn.Identity() if only_history or only_one_field else nn.Linear(width, dim)

    def forward(
        self,
        fields_BFD: Tensor | None,
        sequences: "dict[str, JaggedTensor]",
        batch: Batch,
        per_event_labels: bool = False,
    ) -> Tensor:
        """Looked-up vectors to queries.

        Args:
            fields_BFD: pooled fields, or None.
            sequences: vectors of each key.
            batch: the batch that was looked up.
            per_event_labels: whether to return a query for each event of the histories that has a label.

        Returns:
            ``(B, D)``, ``(B, K, D)`` of K interests, or ``(N, D)`` for the N labelled events if
            ``per_event_labels``.
        """
        features = _features(fields_BFD, batch)
        if self.encoder is None:
            return self.project(torch.cat(features, 1))
        if not per_event_labels:
            states = self._newest(event_vectors(sequences, self.inputs, batch), batch)
            return self.from_states(states, fields_BFD, batch)
        assert batch.labels is not None
        history = event_vectors(sequences, self.inputs, batch)
        events_BTD, lengths_B = pad_history(history, self.inputs.max_length)
        real_BT = real_events(events_BTD, lengths_B)
        labelled_BT = real_BT.masked_scatter(real_BT, batch.labels >= 0)
        times_BT = _times(batch, real_BT)
        hidden = (labelled_BT,) if isinstance(self.encoder, MaskedEncoder) else ()
        states_BTH = self.encoder(events_BTD, lengths_B, times_BT, *hidden)
        places_N = labelled_BT.flatten().nonzero().squeeze(1)
        # not states_BTH[labelled_BT], whose gradient takes a CPU several times as long
        states_NH = states_BTH.flatten(0, 1).index_select(0, places_N)
        if not features:
            return self.project(states_NH)
        rows_N = places_N // labelled_BT.shape[1]
        return self.project(torch.cat([states_NH, *(part[rows_N] for part in features)], 1))

    def from_states(self, states: Tensor, fields_BFD: Tensor | None, batch: Batch) -> Tensor:
        """The encoder's ``(B, H)`` states of the newest events, or ``(B, K, H)`` interests, to queries."""
        features = _features(fields_BFD, batch)
        if states.dim() == 3:
            features = [part[:, None].expand(-1, states.shape[1], -1) for part in features]
        return self.project(torch.cat([states, *features], -1))

    def _newest(self, history: "JaggedTensor", batch: Batch) -> Tensor:
        """``(B, H)`` state after all events, or ``(B, K, H)`` interests."""
        assert self.encoder is not None
        reserved = 1 if isinstance(self.encoder, MaskedEncoder) else 0
        events_BTD, lengths_B = pad_history(history, max(self.inputs.max_length - reserved, 1))
        times_BT = _times(batch, real_events(events_BTD, lengths_B))
        if isinstance(self.encoder, MaskedEncoder):
            events_BTD, lengths_B, times_BT, hidden_BT = _with_hidden_event(events_BTD, lengths_B, times_BT)
            return last_state(self.encoder(events_BTD, lengths_B, times_BT, hidden_BT), lengths_B)
        states = self.encoder(events_BTD, lengths_B, times_BT)
        return states if isinstance(self.encoder, MultiInterestEncoder) else last_state(states, lengths_B)


class ItemTower(nn.Module):
    """The vectors of an item and of its side features, mapped to the width of the query.

    Args:
        dim: D, width of the vectors.
        inputs: what the model reads.
        dense_width: total width of ``inputs.candidate_dense``.
        poolers: by feature; those of candidate fields are used, which are then not averaged.
    """

    def __init__(
        self, dim: int, inputs: Inputs, dense_width: int = 0, poolers: Mapping[str, Pooler] | None = None
    ) -> None:
        super().__init__()
        self.fields = inputs.candidate_fields
        self.poolers = choose_poolers(poolers, self.fields)
        width = dim * (1 + len(self.fields)) + dense_width
        self.mix = nn.Identity() if width == dim else nn.Linear(width, dim)

    def forward(self, sequences: "dict[str, JaggedTensor]", batch: Batch) -> Tensor:
        """Looked-up candidates to ``(C, D)`` item vectors."""
        parts = [sequences["candidates"].values()]
        for name in self.fields:
            values, lengths = sequences[f"candidates_{name}"].values(), batch.candidate_lengths[name]
            if name in self.poolers:
                words = pad_history(PlainJaggedTensor(values, lengths), sys.maxsize)
                parts.append(self.poolers[name](*words))
            else:
                parts.append(segment_means(values, lengths))
        if batch.candidate_dense is not None:
            parts.append(batch.candidate_dense)
        return self.mix(torch.cat(parts, 1) if len(parts) > 1 else parts[0])


class Towers(nn.Module):
    """Both towers, which TorchRec traces as one step.

    Args:
        query_tower: from looked-up vectors to queries.
        item_tower: from looked-up vectors to candidates.
    """

    def __init__(self, query_tower: QueryTower, item_tower: ItemTower) -> None:
        super().__init__()
        self.query_tower = query_tower
        self.item_tower = item_tower

    def forward(
        self,
        fields_BFD: Tensor | None,
        sequences: "dict[str, JaggedTensor]",
        batch: Batch,
        per_event_labels: bool,
    ) -> tuple[Tensor, Tensor]:
        """The queries of :meth:`QueryTower.forward` and the ``(C, D)`` candidates of a training batch."""
        queries = self.query_tower(fields_BFD, sequences, batch, per_event_labels)
        return queries, self.item_tower(sequences, batch)


def _features(fields_BFD: Tensor | None, batch: Batch) -> list[Tensor]:
    """What a query reads besides the history, each ``(B, width)``."""
    features = [] if fields_BFD is None else [fields_BFD.flatten(1)]
    return [*features, batch.dense] if batch.dense.shape[1] else features


def _times(batch: Batch, real_BT: Tensor) -> Tensor | None:
    """``(B, T)`` float64 seconds, or None. fbgemm pads no float64, and float32 rounds to minutes."""
    if batch.history_times is None:
        return None
    return batch.history_times.new_zeros(real_BT.shape).masked_scatter(real_BT, batch.history_times)


def _with_hidden_event(
    events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Adds a hidden event after the newest one of each history, and returns its position."""
    events_BTD = pad(events_BTD, (0, 0, 0, 1))
    times_BT = None if times_BT is None else pad(times_BT, (0, 1))
    hidden_BT = real_events(events_BTD, lengths_B + 1) & ~real_events(events_BTD, lengths_B)
    return events_BTD, lengths_B + 1, times_BT, hidden_BT
