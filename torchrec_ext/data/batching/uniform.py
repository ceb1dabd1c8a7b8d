"""uniform(): what is drawn for a number is the same on any rank."""

import numpy as np


def uniform(numbers: np.ndarray, salt: int) -> np.ndarray:
    """(n,) float64 in [0, 1), a function of each number and the salt (SplitMix64, Steele et al. 2014)."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)) * 2.0**-53
