"""The query and the item tower: looked-up vectors to the vectors that are scored."""

import torch
from torch import Tensor, nn
from torchrec.sparse.jagged_tensor import JaggedTensor

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.contracts import SequenceEncoder
from torchrec_ext.embeddings import last_state, pad_history


class QueryTower(nn.Module):
    """User fields, numbers and a history to one query vector, or to one for each event of the history.

    Args:
        dim: D, width of the looked-up vectors and of the query.
        inputs: what the batches hold.
        encoder: of the history, or None.
    """

    def __init__(self, dim: int, inputs: Inputs, encoder: SequenceEncoder | None) -> None:
        super().__init__()
        self.max_length = inputs.max_length
        self.encoder = encoder
        beside = dim * len(inputs.fields) + len(inputs.dense)
        width = beside + (encoder.out_dim if encoder is not None else 0)
        alone = beside == 0 and width == dim or encoder is None and beside == dim and len(inputs.fields) == 1
        self.project = nn.Identity() if alone else nn.Linear(width, dim)

    def forward(
        self,
        fields_BFD: Tensor | None,
        sequences: dict[str, JaggedTensor],
        batch: Batch,
        every_position: bool,
    ) -> Tensor:
        """Looked-up vectors to queries.

        Returns:
            ``(B, D)``, or if ``every_position`` ``(N, D)`` for the N flat events of the histories.
        """
        beside = [batch.dense] if batch.dense.shape[1] else []
        if fields_BFD is not None:
            beside.insert(0, fields_BFD.flatten(1))
        if self.encoder is None:
            return self.project(torch.cat(beside, 1))
        events_BTD, lengths_B = pad_history(sequences["history"], self.max_length)
        states_BTH = self.encoder(events_BTD, lengths_B, _times(batch, lengths_B, events_BTD.shape[1]))
        if not every_position:
            return self.project(torch.cat([last_state(states_BTH, lengths_B), *beside], 1))
        real_BT = torch.arange(states_BTH.shape[1], device=states_BTH.device) < lengths_B[:, None]
        spread = [b.repeat_interleave(lengths_B, 0) for b in beside]
        return self.project(torch.cat([states_BTH[real_BT], *spread], 1))


class ItemTower(nn.Module):
    """An item's own vector plus its side features, mapped to the width of the query.

    Args:
        dim: D, width of the vectors.
        inputs: what the batches hold.
    """

    def __init__(self, dim: int, inputs: Inputs) -> None:
        super().__init__()
        self.fields = inputs.candidate_fields
        width = dim * (1 + len(self.fields)) + len(inputs.candidate_dense)
        self.mix = nn.Identity() if width == dim else nn.Linear(width, dim)

    def forward(self, sequences: dict[str, JaggedTensor], batch: Batch) -> Tensor:
        """Looked-up candidates to ``(C, D)`` item vectors."""
        parts = [sequences["candidates"].values()]
        for name in self.fields:
            values = sequences[f"candidates_{name}"].values()
            parts.append(_segment_means(values, batch.candidate_lengths[name]))
        if batch.candidate_dense is not None:
            parts.append(batch.candidate_dense)
        return self.mix(torch.cat(parts, 1) if len(parts) > 1 else parts[0])


def _segment_means(values_SD: Tensor, lengths_C: Tensor) -> Tensor:
    """Means of consecutive segments: ``(S, D)`` values and ``(C,)`` int64 lengths to ``(C, D)``."""
    segment = torch.repeat_interleave(lengths_C, output_size=values_SD.shape[0])
    sums = values_SD.new_zeros(len(lengths_C), values_SD.shape[1]).index_add(0, segment, values_SD)
    return sums / lengths_C.clamp(min=1).unsqueeze(1)


def _times(batch: Batch, lengths_B: Tensor, events: int) -> Tensor | None:
    """``(B, events)`` float64 seconds, or None; fbgemm pads no float64, and float32 cannot tell a minute."""
    if batch.history_times is None:
        return None
    real_BT = torch.arange(events, device=lengths_B.device) < lengths_B[:, None]
    return batch.history_times.new_zeros(real_BT.shape).masked_scatter(real_BT, batch.history_times)
