"""shown: a value as a message shows it."""

import numpy as np


def shown(value: object) -> str:
    """A value as a message shows it: NumPy's 7 is 7, not ``np.int64(7)``."""
    return repr(value.item() if isinstance(value, np.generic) else value)
