"""spread(): how many of a number of values each slot of a batch holds."""

import numpy as np


def spread(count: int, slots: int) -> np.ndarray:
    """Lays ``count`` values evenly over the slots of a batch, in their order.

    Args:
        count: number of values, such as candidates.
        slots: number of slots, such as the examples of a batch.

    Returns:
        (slots + 1,) int64 offsets; slot i holds the values from ``offsets[i]`` to ``offsets[i + 1]``.

    Example:
        >>> spread(5, slots=2), spread(1, slots=3)
        (array([0, 2, 5]), array([0, 0, 0, 1]))
    """
    return np.arange(slots + 1) * count // max(slots, 1)
