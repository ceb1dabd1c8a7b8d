"""WeighsEvents: attention whose weights can be read."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class WeighsEvents(Protocol):
    """What a target attention or an encoder may have besides: ``explain`` shows the weights of events."""

    def event_weights(self, *inputs: Tensor) -> Tensor:
        """The arguments of ``forward`` to ``(B, T)`` weights of the events; 0 at padding.

        Those of an encoder are the weights for the state of the newest event.
        """
