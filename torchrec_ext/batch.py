"""Batch: the argument of ``forward()``, and Inputs: the parts of it that a model reads."""

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

HistoryMix: TypeAlias = Literal["sum", "scale"]
"""Whether the vectors of an event's features are added to the vector of its item, or scale it."""


@dataclass(frozen=True)
class Inputs:
    """The parts of a batch that a model reads; the data path builds these only.

    Args:
        fields: categorical features pooled into one vector each, the keys of ``Batch.fields``.
        dense: numeric features, the columns of ``Batch.dense``.
        max_length: number of newest events of a history; 0 if the model reads no history.
        history_fields: categorical features of the events of a history, such as their type, and side
            features of their items, such as the category.
        history_mix: how their vectors join those of the events' items.
        candidates: whether items are looked up as one vector each, separately from the pooled fields.
        candidate_fields: categorical side features of the candidates.
        candidate_dense: numeric side features of the candidates.
        every_position: whether training predicts every next event of a history in one pass.
        masked: share of the events of a history that training hides and predicts; 0 hides none.
        shallow: those of ``fields`` that have a weight, but no vector.
        match: categorical side feature of the items that ``Batch.history_matches`` compares, or None.
    """

    fields: tuple[str, ...] = ()
    dense: tuple[str, ...] = ()
    max_length: int = 0
    history_fields: tuple[str, ...] = ()
    history_mix: HistoryMix = "sum"
    candidates: bool = False
    candidate_fields: tuple[str, ...] = ()
    candidate_dense: tuple[str, ...] = ()
    every_position: bool = False
    masked: float = 0.0
    shallow: tuple[str, ...] = ()
    match: str | None = None

    @property
    def pooled(self) -> tuple[str, ...]:
        """The fields that have a vector."""
        return tuple(name for name in self.fields if name not in self.shallow)

    @property
    def per_event_labels(self) -> bool:
        """Whether training has a label for each event of the histories, not one for each example."""
        return self.every_position or self.masked > 0


@dataclass
class Batch:
    """One rank's share of a global batch; TorchRec's pipelines accept it as a Pipelineable.

    B examples (users, events or pairs), C candidates shared by all of them, N targets.

    Args:
        fields: pooled categorical features, stride B, keys ``Inputs.fields``.
        sequences: unpooled ids, stride B: ``history`` (oldest event first), one key ``history_<name>``
            for each of its events' features, ``candidates`` (C rows spread over the B slots) and one key
            ``candidates_<name>`` for each of their side features.
        dense: (B, n) float32 numeric features.
        history_times: flat float64 times in seconds of the history's events, or None.
        history_lengths: for each feature of the history's events that has several ids, the flat int64
            number of ids of each event.
        history_matches: flat bool, whether the item of a history's event shares a value of ``Inputs.match``
            with the candidate of its example, or None.
        candidate_lengths: for each candidate side feature the (C,) int64 number of ids of a candidate.
        candidate_dense: (C, m) float32 numeric features of the candidates, or None.
        labels: ranking: (B, tasks) float32; retrieval: (N,) int64 position of the target among the
            candidates, -1 if there is none; N is the number of flat history positions or B. If the
            model hides events, those with a label are hidden.
        weights: weight of each label, or None for ones.
        log_q: (S,) float32 log-probability that a candidate is among the candidates, or None for zeros. The
            first S candidates compete with every target; any after them only with the rows of its own target.
        first_candidate: int64 scalar, if the ranks divide the catalogue: the position in it of this rank's
            first candidate; ``labels`` are positions in the whole catalogue. None if they do not.
        total: float64 scalar, summed weight of the labels of the global batch over all ranks.
    """

    fields: "KeyedJaggedTensor"
    sequences: "KeyedJaggedTensor"
    dense: Tensor
    history_times: Tensor | None = None
    history_lengths: dict[str, Tensor] = field(default_factory=dict)
    history_matches: Tensor | None = None
    candidate_lengths: dict[str, Tensor] = field(default_factory=dict)
    candidate_dense: Tensor | None = None
    labels: Tensor | None = None
    weights: Tensor | None = None
    log_q: Tensor | None = None
    first_candidate: Tensor | None = None
    total: Tensor | None = None

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """The same batch with every tensor on ``device``."""
        return self._each(lambda t: t.to(device=device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, for copies that overlap with computing."""
        return self._each(lambda t: t.pin_memory())

    def record_stream(self, stream: torch.Stream) -> None:
        """Keeps the memory of every tensor until ``stream`` has used it."""

        def record(tensor: Any) -> Any:
            tensor.record_stream(stream)
            return tensor

        self._each(record)

    def _each(self, change: Any) -> "Batch":
        changed: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, dict):
                changed[f.name] = {k: change(v) for k, v in value.items()}
            elif value is not None:
                changed[f.name] = change(value)
        return replace(self, **changed)
