"""The base class of contract tests: inputs of a kind of module, and the cases of each promise."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.promise import is_slow

ROWS = 5


class Contract(ABC):
    """The inputs that are drawn for a kind of module, and the output that it should give.

    Args:
        cases: class attribute: the ways to build the module that each promise is tried on.
        axes: class attribute: the axes of each input that may vary, each with a name.
        optional_axes: class attribute: the same for each of the optional inputs.
    """

    cases: Sequence[Case] = ()
    axes: Sequence[Mapping[int, str]] = ({0: "batch"},)
    optional_axes: Mapping[int, str] = {0: "batch"}

    @abstractmethod
    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the module, ``rows`` along the first axis of each."""

    @abstractmethod
    def output_shape(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        """The shape that the output should have."""

    @abstractmethod
    def wrong_shapes(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        """The name of an argument, and inputs among which that argument has a wrong shape."""

    def other_sizes(self, case: Case) -> list[tuple[Tensor, ...]]:
        """Inputs that are larger and smaller than the drawn ones along every axis that may vary."""
        return [self.draw(case, ROWS + 2, seed=7), self.draw(case, 1, seed=8)]

    def optional_inputs(self, module: Any, inputs: tuple[Tensor, ...]) -> list[dict[str, Tensor]]:
        """Each combination of optional inputs once, by name."""
        return [{}]

    def without_padding(self, output: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """The output with zeros at padding, where a module may give anything."""
        return output

    def outputs_to_learn(self, module: Any, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """All outputs that training may take a gradient of."""
        ways = self.optional_inputs(module, inputs)
        return [self.without_padding(module(*inputs, **more), inputs) for more in ways]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Runs each promise on each case, skips what the case cannot keep, and marks the slow ones."""
        if "case" not in metafunc.fixturenames:
            return
        name = metafunc.function.__name__.removeprefix("test_")
        long = []
        if is_slow(metafunc.function):
            # A suite that names its markers strictly need not know this one.
            metafunc.config.addinivalue_line("markers", "slow: takes more than ten seconds")
            long = [pytest.mark.slow]
        ways = []
        for case in cases_tried(metafunc.function, self.cases):
            excused = [pytest.mark.skip(reason=case.cannot[name])] if name in case.cannot else []
            ways.append(pytest.param(case, id=str(case), marks=[*long, *excused]))
        metafunc.parametrize("case", ways)


def cases_tried(test: Callable[..., None], cases: Sequence[Case]) -> Sequence[Case]:
    """The cases that a promise is tried on: fewer of them where it takes long."""
    tried_on = getattr(test, "tried_on", "each case")
    if tried_on == "each class":
        return [*{case.cls: case for case in reversed(cases)}.values()][::-1]
    return cases[:1] if tried_on == "one case" else cases


def random_weights(tensor: Tensor) -> Tensor:
    """Weights to sum a tensor with: a plain sum would be constant behind a layer norm."""
    return torch.randn(tensor.shape, generator=torch.Generator().manual_seed(4))
