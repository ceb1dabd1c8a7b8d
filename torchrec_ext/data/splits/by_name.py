"""The splits by name, as a recipe's settings name them."""

from collections.abc import Callable

from torchrec_ext.data.splits.as_marked import as_marked
from torchrec_ext.data.splits.at_random import by_ratio, by_user
from torchrec_ext.data.splits.by_time import by_time
from torchrec_ext.data.splits.leave_last import leave_last_n, leave_last_out
from torchrec_ext.data.splits.parts import Parts

SPLITS: dict[str, Callable[..., Parts]] = {
    split.__name__: split for split in (leave_last_out, leave_last_n, by_time, by_user, by_ratio, as_marked)
}
"""Every split into one training, validation and test part."""
