"""Checks of tensors and modules, with errors that name the argument and both values."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchrec_ext.errors import InputError


def expect_shape(name: str, tensor: Tensor, shape: tuple[int | str, ...]) -> None:
    """Raises unless a tensor has the expected shape.

    torch.fx traces the call as one step.

    Args:
        name: name of the argument, such as ``fields_BFD``.
        tensor: the tensor received.
        shape: the expected sizes; a word such as ``"batch"`` accepts any size.

    Raises:
        InputError: if the number of axes or a size differs.

    Example:
        >>> expect_shape("fields_BFD", torch.zeros(8, 3, 50), ("batch", 2, 50))
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: fields_BFD should be (batch, 2, 50), received (8, 3, 50)
    """
    _expect_shape(name, tensor, shape)


@torch.fx.wrap  # patched in this module, which is why the public function only calls it
def _expect_shape(name: str, tensor: Tensor, shape: tuple[int | str, ...]) -> None:
    if not isinstance(tensor, Tensor):
        raise InputError(f"{name} should be a tensor, received {type(tensor).__name__}")
    if tensor.dim() == len(shape) and all(
        isinstance(wanted, str) or wanted == size for wanted, size in zip(shape, tensor.shape, strict=True)
    ):
        return
    wanted = ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "")
    raise InputError(f"{name} should be ({wanted}), received {tuple(tensor.shape)}")


def run_on_zeros(name: str, module: nn.Module, sizes: tuple[int, ...], call: Callable[[Tensor], Any]) -> Any:
    """Runs a module once on zeros, to find the shape of its output.

    The module runs in evaluation mode and without gradients, on the device and in the precision of its
    weights. Afterwards the module's modes and torch's generators are restored.

    Args:
        name: name of the argument that holds the module.
        module: any module.
        sizes: shape of the zeros.
        call: calls the module with the zeros.

    Returns:
        The result of ``call``.

    Raises:
        InputError: if the module fails, with the first line of its error.

    Example:
        >>> linear = nn.Linear(3, 5)
        >>> run_on_zeros("module", linear, (2, 3), linear).shape
        torch.Size([2, 5])
        >>> run_on_zeros("module", linear, (2, 4), linear)
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: module Linear fails on zeros of shape (2, 4): mat1 and mat2 ...
    """
    floating = (t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point())
    zeros = torch.zeros(sizes)
    if (like := next(floating, None)) is not None:
        zeros = zeros.to(like)
    modes = {part: part.training for part in module.modules()}
    devices = [zeros.device] if zeros.is_cuda else []
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            return call(zeros)
    except Exception as error:  # a third party's module may raise anything
        what = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{name} {type(module).__name__} fails on zeros of shape {sizes}: {what}") from error
    finally:
        for part, training in modes.items():
            part.training = training
