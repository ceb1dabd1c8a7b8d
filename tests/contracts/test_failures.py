"""What a failing contract test prints in a package that knows nothing of this one's test settings."""

import os
import subprocess
import sys

import pytest

from tests.recipes.launch import ROOT, user_environment

MODULE = '''
import torch
from torch import nn

from torchrec_ext.contracts import Interaction


class Half(Interaction):
    """Gives half as wide an output as it says, refuses 0 rows, and changes with a weight of its own."""

    def __init__(self, num_fields: int, dim: int):
        super().__init__()
        self.num_fields, self.dim, self.out_dim = num_fields, dim, num_fields * dim
        self.weight = nn.Parameter(torch.ones(num_fields * dim // 2))
        self.unused = nn.Parameter(torch.ones(1))

    def forward(self, fields_BFD):
        return fields_BFD.reshape(len(fields_BFD), -1)[:, : len(self.weight)] * self.weight
'''
TESTS = """
from half import Half

from torchrec_ext.testing import Case, InteractionContract


class TestHalf(InteractionContract):
    cases = [Case(Half, num_fields=3, dim=8)]
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    (folder / "half.py").write_text(MODULE)
    (folder / "test_half.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", "test_half.py"],
        cwd=folder,
        env={**user_environment(), "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_a_wrong_shape_names_the_promise_and_shows_both_shapes(printed):
    promise = "Half(num_fields=3, dim=8) breaks the promise 'output_has_the_promised_shape'."
    assert promise in printed
    assert "the output of 5 rows should have shape (5, 24), received (5, 12)" in printed


def test_the_asserts_show_both_sides(printed):
    """Without rewriting, pytest shows no more than the message."""
    assert "assert torch.Size([5, 12]) == (5, 24)" in printed


def test_a_missing_gradient_names_the_parameter(printed):
    assert "unused should have a gradient, received None" in printed


def test_another_error_is_the_promise_s_failure_too(printed):
    assert "breaks the promise 'an_empty_batch_gives_an_empty_output'." in printed
    assert "it raised RuntimeError: cannot reshape tensor of 0 elements" in printed
