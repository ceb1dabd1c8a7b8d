"""Parts drawn at random."""

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.splits.parts import TEST, TRAIN, VALID
from torchrec_ext.errors import InputError


def draw(count: int, valid: float, test: float, seed: int) -> np.ndarray:
    """(count,) int8 random parts with as many of each as its share says, at least one.

    Args:
        count: how many events or users there are.
        valid: share of the validation part.
        test: share of the test part.
        seed: of the draw.

    Raises:
        InputError: if the shares leave no training part, or the seed is negative.

    Example:
        >>> draw(5, valid=0.2, test=0.4, seed=0)
        array([0, 0, 2, 1, 2], dtype=int8)
    """
    expect_at_least(0, seed=seed)
    if not (0 < valid < 1 and 0 < test < 1 and valid + test < 1):
        raise InputError(
            f"valid and test must be shares above 0 that sum to less than 1, received {valid} and {test}"
        )
    tests, valids = max(1, round(test * count)), max(1, round(valid * count))
    drawn = np.random.default_rng(seed).permutation(count)
    part = np.full(count, TRAIN, np.int8)
    part[drawn[:tests]] = TEST
    part[drawn[tests : tests + valids]] = VALID
    return part
