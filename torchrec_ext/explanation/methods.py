"""Methods of explanation by name."""

from collections.abc import Callable
from typing import Literal

from torchrec_ext.explanation.attention import attention
from torchrec_ext.explanation.attribution import Attribution, leave_one_out
from torchrec_ext.explanation.factors import factors
from torchrec_ext.explanation.integrated_gradients import integrated_gradients
from torchrec_ext.explanation.pair import Pair

Method = Literal["leave_one_out", "integrated_gradients", "attention", "factors"]

METHODS: dict[str, Callable[[Pair], Attribution]] = {
    "leave_one_out": leave_one_out,
    "integrated_gradients": integrated_gradients,
    "attention": attention,
    "factors": factors,
}

OF_SCORES = ("leave_one_out", "integrated_gradients")
"""Methods that share the score out among the events, in its unit: those that give reasons."""
