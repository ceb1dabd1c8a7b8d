"""The promises of a MultiInterestEncoder."""

from typing import Any

from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, close
from torchrec_ext.testing.history import HistoryContract, draw_times, padded


class MultiInterestContract(HistoryContract):
    """Subclass it as ``Test...`` and set ``cases``; each needs ``dim``."""

    def size(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]), module.num_interests, module.out_dim)

    def test_padding_does_not_change_an_interest(self, case: Case) -> None:
        """Neither its values nor how much of it there is; of an empty history too."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        for times in (None, draw_times(ROWS)):
            expected = module(events, lengths, times)
            for more, more_times in padded(events, lengths, times):
                close(module(more, lengths, more_times), expected)
