"""Events of a history whose item shares a value with a candidate, as a search by category finds them."""

import numpy as np

Jagged = tuple[np.ndarray, np.ndarray]
"""Flat integer values, 0 if unknown, and the number of values of each row."""


def matching_events(lengths: np.ndarray, events: Jagged, candidates: Jagged) -> np.ndarray:
    """Which events share a known value of a feature with the candidate of their example.

    Args:
        lengths: (B,) number of events of each example.
        events: values of the E events, one example after the other.
        candidates: values of the B candidates.

    Returns:
        (E,) bool.

    Example:
        >>> words = np.array([7, 8, 0, 8]), np.array([2, 1, 1])
        >>> matching_events(np.array([2, 1]), words, (np.array([8, 0, 7, 9]), np.array([2, 2])))
        array([ True, False, False])
    """
    (values, counts), (wanted, numbers) = events, candidates
    longest = int(numbers.max(initial=0))
    wanted_BK = np.zeros((len(numbers), longest), wanted.dtype)
    wanted_BK[np.arange(longest) < numbers[:, None]] = wanted
    event = np.repeat(np.arange(len(counts)), counts)
    example = np.repeat(np.arange(len(lengths)), lengths)[event]
    shared = np.zeros(len(values), bool)
    for wanted_B in wanted_BK.T:  # sorting all pairs takes ten times as long
        shared |= wanted_B[example] == values
    shared &= values > 0
    return np.bincount(event[shared], minlength=len(counts)) > 0
