"""Encoders: a history to states or interests."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class SequenceEncoder(nn.Module, ABC):
    """A history to one state per event.

    Events are padded on the right; padding never changes a real state. If ``causal``, state t depends on
    events <= t only, and training may predict every next event of a history in one pass.
    ``reads_times`` is True if the states depend on the times. A model builds it as
    ``cls(dim=D, **arguments)``.
    """

    out_dim: int
    causal: bool
    reads_times: bool = False

    @abstractmethod
    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """Events to states.

        Args:
            events_BTD: ``(B, T, D)`` float event vectors, oldest first.
            lengths_B: ``(B,)`` integer lengths.
            times_BT: ``(B, T)`` float64 seconds, or None if the data has no times.

        Returns:
            ``(B, T, out_dim)`` states.
        """


class StreamingEncoder(SequenceEncoder):
    """A causal encoder that can also read one event at a time, for real-time serving.

    ``step`` returns the states of ``forward``, for histories of any length.
    """

    @abstractmethod
    def initial_state(self, batch_size: int) -> Any:
        """The state of ``batch_size`` users without events."""

    @abstractmethod
    def step(self, state: Any, event_BD: Tensor, time_B: Tensor | None = None) -> tuple[Any, Tensor]:
        """Adds one event.

        Args:
            state: from ``initial_state`` or an earlier step; it is not changed.
            event_BD: ``(B, D)`` float event vectors.
            time_B: ``(B,)`` float64 seconds, or None if the data has no times.

        Returns:
            The new state, and the ``(B, out_dim)`` state of the event.
        """


class MaskedEncoder(SequenceEncoder):
    """A bidirectional encoder that is trained by predicting hidden events.

    Training hides a share of the events of a window, ``masked_share``, and predicts each from its state. The
    query of a user is the state of a hidden event after the newest one. ``causal`` is False.
    """

    masked_share: float

    @abstractmethod
    def forward(
        self,
        events_BTD: Tensor,
        lengths_B: Tensor,
        times_BT: Tensor | None = None,
        masked_BT: Tensor | None = None,
    ) -> Tensor:
        """As :meth:`SequenceEncoder.forward`, with events hidden.

        Args:
            events_BTD: ``(B, T, D)`` float event vectors, oldest first.
            lengths_B: ``(B,)`` integer lengths; hidden events count.
            times_BT: ``(B, T)`` float64 seconds, or None if the data has no times.
            masked_BT: ``(B, T)`` bool, True where the event is hidden: no state depends on its vector
                or its time. None hides none.
        """


class MultiInterestEncoder(nn.Module, ABC):
    """A history to K interest vectors; an item's score is the best over the K.

    ``reads_times`` is True if they depend on the times. A model builds it as ``cls(dim=D, **arguments)``.
    """

    out_dim: int
    num_interests: int
    reads_times: bool = False

    @abstractmethod
    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """Events, lengths and times as in :class:`SequenceEncoder` to ``(B, K, out_dim)``."""
