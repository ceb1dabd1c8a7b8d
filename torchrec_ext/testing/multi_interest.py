"""The promises of a MultiInterestEncoder."""

from typing import Any

from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.expect import expect_close
from torchrec_ext.testing.history import HistoryContract, draw_times, padded
from torchrec_ext.testing.promise import promise


class MultiInterestContract(HistoryContract):
    """Subclass it as ``Test...`` and set ``cases``; each case needs ``dim``."""

    def output_shape(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]), module.num_interests, module.out_dim)

    @promise
    def test_padding_does_not_change_an_interest(self, case: Case) -> None:
        """An interest depends neither on the values nor on the amount of padding."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        for times in (None, draw_times(ROWS)):
            expected = module(events, lengths, times)
            for more, more_times in padded(events, lengths, times):
                what = f"the interests with other padding to {more.shape[1]} events"
                expect_close(module(more, lengths, more_times), expected, what)
