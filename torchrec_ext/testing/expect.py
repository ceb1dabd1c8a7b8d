"""Comparisons whose failures say what was expected and what was received."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def expect_close(received: Tensor, expected: Tensor, what: str, tolerance: float = 1e-6) -> None:
    """Fails unless two tensors have the same shape and dtype, and values within a tolerance.

    Args:
        received: the tensor that the module gave.
        expected: the tensor that it should be.
        what: what the tensor is, for the message.
        tolerance: largest difference, absolute plus relative; 0 asks for the same bits.

    Example:
        >>> expect_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]), "the sum", 0)
        Traceback (most recent call last):
        AssertionError: the sum should be 3 at index (1,), received 2; 1 of 2 values differ
    """
    expect_shape(received, expected.shape, what)
    assert received.dtype == expected.dtype, f"{what} should be {expected.dtype}, received {received.dtype}"
    difference = (received.detach().double() - expected.detach().double()).abs()
    allowed = tolerance * (1 + expected.detach().double().abs())
    wrong = ~(difference <= allowed)  # so that NaN is wrong
    if wrong.any():
        worst = torch.where(wrong, difference.nan_to_num(nan=torch.inf), -1.0).argmax()
        index = _index(worst, wrong)
        by = f"differ by more than {tolerance:g}" if tolerance else "differ"
        raise AssertionError(
            f"{what} should be {expected[index]:g}{_at(index)}, received {received[index]:g}; "
            f"{int(wrong.sum())} of {wrong.numel()} values {by}"
        )


def expect_shape(received: Tensor, shape: Iterable[int], what: str) -> None:
    """Fails unless a tensor has a shape, and shows both."""
    assert isinstance(received, Tensor), f"{what} should be a tensor, received {type(received).__name__}"
    wanted = tuple(shape)
    assert received.shape == wanted, f"{what} should have shape {wanted}, received {tuple(received.shape)}"


def expect_finite(tensor: Tensor, what: str) -> None:
    """Fails where a value is NaN or infinite, and shows the first such value."""
    wrong = ~tensor.isfinite()
    if wrong.any():
        index = _index(wrong.flatten().int().argmax(), wrong)
        raise AssertionError(
            f"{what} should be finite, received {tensor[index]:g}{_at(index)}; "
            f"{int(wrong.sum())} of {wrong.numel()} values are not finite"
        )


def expect_zero(tensor: Tensor, what: str) -> None:
    """Fails where a value is not exactly zero, and shows the largest."""
    if tensor.any():
        worst = tensor.abs().nan_to_num(nan=torch.inf).argmax()
        index = _index(worst, tensor)
        raise AssertionError(
            f"{what} should be 0, received {tensor[index]:g}{_at(index)}; "
            f"{int((tensor != 0).sum())} of {tensor.numel()} values are not 0"
        )


def expect_refusal(call: Callable[[], Any], name: str, value: str) -> None:
    """Fails unless a call raises a ValueError that names an argument and shows its value.

    Args:
        call: what should be refused.
        name: the argument's name.
        value: its value, or its shape, as the message should show it.
    """
    wanted = f"{name} of {value} should raise a ValueError that shows both"
    try:
        call()
    except ValueError as error:
        message = str(error)
        missing = [part for part in (name, value) if part not in message]
        assert not missing, f"{wanted}; the message lacks {' and '.join(missing)}: {message}"
    except Exception as error:  # a module may raise anything
        raise AssertionError(f"{wanted}, received {type(error).__name__}: {error}") from error
    else:
        raise AssertionError(f"{wanted}, but it is accepted")


def _index(flat: Tensor, like: Tensor) -> tuple[int, ...]:
    return tuple(int(axis) for axis in torch.unravel_index(flat, like.shape))


def _at(index: tuple[int, ...]) -> str:
    return f" at index {index}" if index else ""
