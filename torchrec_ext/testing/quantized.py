"""The promise of every plug-in under dynamic quantization."""

import copy
import warnings

import torch
from torch import Tensor, nn

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import Contract
from torchrec_ext.testing.promise import promise

LAYERS = {nn.Linear, nn.GRU, nn.LSTM}
ERROR = 0.1


class QuantizedContract(Contract):
    """The module works after its layers became int8 ones."""

    @promise
    def test_dynamic_quantization_is_close(self, case: Case) -> None:
        """With int8 weights of its linear and recurrent layers the result is within 10% of the float one."""
        module, inputs = case.build().eval(), self.draw(case)
        small = quantize(module)
        for more in self.optional_inputs(module, inputs):
            exact = self.without_padding(module(*inputs, **more), inputs)
            expect_small_error(self.without_padding(small(*inputs, **more), inputs), exact)


def quantize(module: nn.Module) -> nn.Module:
    """A copy whose linear and recurrent layers have int8 weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that quantization moves to another package
        return torch.ao.quantization.quantize_dynamic(copy.deepcopy(module), LAYERS)


def expect_small_error(received: Tensor, exact: Tensor) -> None:
    """Fails where the norm of the difference exceeds a tenth of the exact result's norm."""
    error = ((received - exact).norm() / exact.norm()).item()
    assert error <= ERROR, f"the relative error should be at most {ERROR}, received {error:.3g}"
