"""The parameters of a constructor, with types and defaults, without importing its class."""

import inspect
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from torchrec_ext.command_line.read_parameters import read_parameters
from torchrec_ext.command_line.read_source import UnreadableError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a module that can be found."""
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name, code: (tmp_path / f"{name}.py").write_text(code)


def test_parameters_with_types_and_defaults(write):
    code = """
import typing
from collections.abc import Sequence
from typing import Literal, Optional, TypeAlias
from torch import Tensor, nn
from torchrec_ext.encoders import gru
from torchrec_ext.losses.softmax_cross_entropy import CandidateKind
Mode: TypeAlias = Literal["up", "down"]
class Other: ...
class Mine(nn.Module):
    def __init__(
        self, here: int, /, width: "int | None", mode: Mode = "up", *rest: int,
        sizes: tuple[int, ...] = (1, 2), kind: Optional[CandidateKind] = None, other: Other | float = -1.5,
        parts: Sequence[str] = (), weights: Tensor | None = None, cell: typing.Any = None, bare=3, **more,
    ): ...
"""
    write("parameters", code)
    found = {p.name: (p.annotation, p.default) for p in read_parameters("parameters.Mine")}
    empty = inspect.Parameter.empty
    assert found == {
        "width": (int | None, empty),
        "mode": (Literal["up", "down"], "up"),
        "sizes": (tuple[int, ...], (1, 2)),
        "kind": (Literal["catalogue", "sampled", "in_batch"] | None, None),
        "other": (object | float, -1.5),
        "parts": (Sequence[str], ()),
        "weights": (object | None, None),
        "cell": (Any, None),
        "bare": (empty, 3),
    }
    assert read_parameters("parameters.Other") == []


@pytest.mark.parametrize(
    ("n", "parameter"),
    [(0, "size: int = 2 * 4"), (1, "size: Unknown = 1"), (2, "size: int[3] = 1"), (3, "size: int = WIDTH")],
)
def test_parameters_that_only_running_shows_are_refused(write, n, parameter):
    write(f"computed_{n}", f"class Mine:\n    def __init__(self, {parameter}): ...\n")
    with pytest.raises(UnreadableError):
        read_parameters(f"computed_{n}.Mine")


def test_the_parameters_of_a_decorated_constructor_are_refused(write):
    write("decorated", "class Mine:\n    @changed\n    def __init__(self, size: int): ...\n")
    with pytest.raises(UnreadableError):
        read_parameters("decorated.Mine")
