"""What contract tests are made of: the inputs of a kind of module, and how promises meet the cases."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import pytest
import torch
from torch import Tensor

from torchrec_ext.testing.case import Case

ROWS = 5

_Test = TypeVar("_Test", bound=Callable[..., None])


class Contract(ABC):
    """What is drawn for a kind of module, and what its output should be.

    Args:
        cases: class attribute: the ways to build the module that each promise is tried on.
    """

    cases: Sequence[Case] = ()

    @abstractmethod
    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        """Random inputs of the module, ``rows`` along the first axis of each."""

    @abstractmethod
    def size(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        """The shape that the output should have."""

    @abstractmethod
    def wrong(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        """The name of an argument, and inputs among which that one has a wrong shape."""

    def resized(self, case: Case) -> list[tuple[Tensor, ...]]:
        """Inputs that are larger and smaller than the drawn ones along every axis that may vary."""
        return [self.draw(case, ROWS + 2, seed=7), self.draw(case, 1, seed=8)]

    def besides(self, module: Any, inputs: tuple[Tensor, ...]) -> list[dict[str, Tensor]]:
        """What may be given beside the inputs, by name: each way to call the module once."""
        return [{}]

    def real(self, output: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """The output with zeros where it means nothing."""
        return output

    def learnt(self, module: Any, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """All that training may take a gradient of."""
        return [self.real(module(*inputs, **more), inputs) for more in self.besides(module, inputs)]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Runs each test on each case, but for what the case says it cannot, and marks the slow ones."""
        if "case" not in metafunc.fixturenames:
            return
        promise = metafunc.function.__name__.removeprefix("test_")
        long = []
        if is_slow(metafunc.function):
            # A suite that names its markers strictly need not know this one.
            metafunc.config.addinivalue_line("markers", "slow: takes more than ten seconds")
            long = [pytest.mark.slow]
        ways = []
        for case in _tried(metafunc.function, self.cases):
            excused = [pytest.mark.skip(reason=case.cannot[promise])] if promise in case.cannot else []
            ways.append(pytest.param(case, id=str(case), marks=[*long, *excused]))
        metafunc.parametrize("case", ways)


def slow(tried_on: Literal["each case", "each class", "one case"] = "each case") -> Callable[[_Test], _Test]:
    """Marks a promise as one that takes long: ``-m "not slow"`` leaves it out.

    Args:
        tried_on: each case, the first one of each class, or the first one alone.
    """

    def mark(test: _Test) -> _Test:
        test.tried_on = tried_on  # type: ignore[attr-defined]
        return test

    return mark


def is_slow(test: Callable[..., None]) -> bool:
    """Whether a promise takes long."""
    return hasattr(test, "tried_on")


def close(received: Tensor, expected: Tensor, tolerance: float = 1e-6) -> None:
    """Fails unless the two are equal but for rounding."""
    torch.testing.assert_close(received, expected, rtol=tolerance, atol=tolerance)


def pattern(tensor: Tensor) -> Tensor:
    """Random weights to sum a tensor with: a plain sum is blind where a layer norm makes it constant."""
    return torch.randn(tensor.shape, generator=torch.Generator().manual_seed(4))


def _tried(test: Callable[..., None], cases: Sequence[Case]) -> Sequence[Case]:
    tried_on = getattr(test, "tried_on", "each case")
    if tried_on == "each class":
        return [*{case.cls: case for case in reversed(cases)}.values()][::-1]
    return cases[:1] if tried_on == "one case" else cases
