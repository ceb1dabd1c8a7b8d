"""A package from outside: installed, found by name and tried."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.setup.project import ROOT
from torchrec_ext import plugins
from torchrec_ext.errors import InputError

SOURCE = Path(__file__).parent / "third_party"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder such as site-packages with the package in it."""
    folder = tmp_path_factory.mktemp("third_party")
    shutil.copytree(SOURCE, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [*pip, "--target", str(folder / "site"), str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def installed(site, monkeypatch):
    monkeypatch.syspath_prepend(str(site))
    yield
    for name in [n for n in sys.modules if n.partition(".")[0] == "example_plugins"]:
        del sys.modules[name]


def test_its_names_stand_after_the_built_in_ones(installed):
    assert plugins.names("interactions") == [*sorted(plugins.names("interactions")[:-1]), "gated_sum"]
    assert plugins.names("encoders")[-1] == "decaying_mean"
    assert "gated_sum" not in plugins.names("encoders")


def test_without_it_the_name_is_unknown():
    assert "gated_sum" not in plugins.names("interactions")


def test_found_built_described_and_rebuilt(installed):
    module = plugins.build("interactions", "gated_sum", num_fields=2, dim=3, hidden=5)
    assert module(torch.rand(4, 2, 3)).shape == (4, 3)
    description = plugins.specification(module)
    assert description == {
        "class": "example_plugins.gated_sum:GatedSum",
        "arguments": {"num_fields": 2, "dim": 3, "hidden": 5},
    }
    assert type(plugins.rebuild(description)) is type(module)


def test_a_misspelt_name_shows_third_party_ones_too(installed):
    with pytest.raises(InputError, match=r"did you mean 'gated_sum'\?; there are .*, gated_sum, or name"):
        plugins.find("interactions", "gatedsum")


def test_its_own_tests_pass_from_outside(site, tmp_path):
    """They subclass the shipped ones; no marker is configured, and what a module cannot is skipped."""
    shutil.copytree(SOURCE / "tests", tmp_path / "tests")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--strict-markers",
            "-rs",
            "-k",
            "not compile and not export",
            "tests",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"SKIPPED .* its loop over the events", done.stdout)


def _package(folder: Path, name: str, entry_points: str) -> str:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    return str(folder)


def test_a_package_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    entry = "[torchrec_ext.encoders]\nlost = lost_package.encoder:Lost\n"
    monkeypatch.syspath_prepend(_package(tmp_path, "lost_package", entry))
    assert "lost" in plugins.names("encoders")
    with pytest.raises(InputError, match="cannot import 'lost_package.encoder:Lost': No module named"):
        plugins.find("encoders", "lost")


def test_two_packages_with_one_name_must_be_told_apart(tmp_path, monkeypatch):
    for package in ("one", "two"):
        entry = f"[torchrec_ext.encoders]\nsame = {package}.encoder:Same\n"
        monkeypatch.syspath_prepend(_package(tmp_path / package, package, entry))
    with pytest.raises(InputError, match="'same'; say which: one.encoder:Same or two.encoder:Same"):
        plugins.find("encoders", "same")


def test_a_built_in_name_cannot_be_taken(tmp_path, monkeypatch):
    entry = "[torchrec_ext.encoders]\ngru = lost_package.encoder:Lost\n"
    monkeypatch.syspath_prepend(_package(tmp_path, "taker", entry))
    assert plugins.names("encoders").count("gru") == 1
    assert plugins.find("encoders", "gru").__module__ == "torchrec_ext.encoders.gru"
