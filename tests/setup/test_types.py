"""What mypy says of a user's program."""

import os
import re
import subprocess
import sys
from importlib import import_module

import pytest

import torchrec_ext
from tests.setup.project import ROOT

# Following torch and its kin would take half a minute and say no more of this package.
CONFIG = """
[mypy]
[mypy-torch.*,torchrec.*,pandas.*,pyarrow.*,numpy.*,torchmetrics.*,matplotlib.*,tensorboard.*]
follow_imports = skip
[mypy-fbgemm_gpu.*,tqdm.*]
ignore_missing_imports = true
"""


def mypy(folder, lines: list[str]) -> list[tuple[int, str]]:
    """The number of a line of the program, counted from 0, and what mypy says of it."""
    (folder / "mypy.ini").write_text(CONFIG)
    (folder / "program.py").write_text("\n".join(["import torchrec_ext as tx", *lines]) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(folder / "cache"), "program.py"],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^program\.py:(\d+): \w+: (.*)$", done.stdout, re.MULTILINE)
    return [(int(line) - 2, message) for line, message in found]


@pytest.fixture(scope="module")
def exported() -> list[str]:
    """Every public name of every part, as a user writes it."""
    names = []
    for part in torchrec_ext.__all__:
        for name in getattr(import_module(f"torchrec_ext.{part}"), "__all__", ()):
            names.append(f"tx.{part}.{name}")
    return names


def test_types_reach_a_program(tmp_path, exported):
    """In one run of mypy, which takes seconds."""
    passes = [
        "schema = tx.schema.Schema((tx.schema.Table('item', 9),), ())",
        "encoder: tx.encoders.GRU = tx.encoders.GRU(8, layers=2)",
        "model = tx.models.TwoTower(schema, 8, encoder)",
    ]
    says = {
        "tx.encoders.GRU(8, hiden=3)": 'Unexpected keyword argument "hiden" for "GRU"',
        'tx.encoders.GRU("8")': 'Argument 1 to "GRU" has incompatible type "str"; expected "int"',
        "tx.encoders.GRUU(8)": 'Module has no attribute "GRUU"',
        "tx.encodrs": 'Module has no attribute "encodrs"',
        "tx.data.read_event": 'Module has no attribute "read_event"',
        "tx.data.leave_last_out(3)": 'Argument 1 to "leave_last_out" has incompatible type "int"',
        "reveal_type(tx.encoders.GRU(8))": 'Revealed type is "torchrec_ext.encoders.gru.GRU"',
        "reveal_type(tx.encoders.GRU(8).out_dim)": 'Revealed type is "int"',
        'reveal_type(tx.data.read_events("x.csv"))': 'Revealed type is "torchrec_ext.data.events.Events"',
    }
    program = [*passes, *says, *(f"reveal_type({name})" for name in exported)]
    said: dict[str, list[str]] = {line: [] for line in program}
    for number, message in mypy(tmp_path, program):
        said[program[number]].append(message)

    assert not any(said[line] for line in passes)
    for line, message in says.items():
        assert any(found.startswith(message) for found in said[line]), (line, said[line])
    # Where a function has the name of its module, mypy may take the one for the other.
    untyped = [name for name in exported if re.search('"Any"|Module"', str(said[f"reveal_type({name})"]))]
    assert untyped == ["tx.embeddings.initialise_tables"]  # its decorator is torch's
