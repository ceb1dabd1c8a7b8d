"""A package from outside: installed, found by name and tried."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.recipes.launch import ROOT, user_environment
from tests.recipes.tiny import EVENTS, SMALL, write_tiny
from torchrec_ext import plugins
from torchrec_ext.command_line.find_modules import find_modules
from torchrec_ext.contracts import GROUPS
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
    with pytest.raises(InputError, match=r"did you mean 'gated_sum'\?; there are .*, gated_sum, or pass"):
        plugins.find("interactions", "gatedsum")


def outside(site, folder, *command) -> str:
    """What Python prints where the package is installed, run as its user does."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={**user_environment(), "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_own_tests_pass_from_outside(site, tmp_path):
    """They subclass the shipped ones; no marker is configured, and what a module cannot is skipped."""
    shutil.copytree(SOURCE / "tests", tmp_path / "tests")
    # Compiling takes long, and the built-in modules are tried on it.
    words = ("--strict-markers", "-rs", "-k", "not compile and not export")
    told = outside(site, tmp_path, "-m", "pytest", *words, "tests")
    assert re.search(r"SKIPPED .* its loop over the events", told)


def test_slow_promises_can_be_left_out_from_outside(site, tmp_path):
    shutil.copytree(SOURCE / "tests", tmp_path / "tests")
    words = ("--strict-markers", "--collect-only", "-q", "-m", "not slow")
    told = outside(site, tmp_path, "-m", "pytest", *words, "tests")
    assert "test_steps_equal_forward" in told
    assert not re.search("fx_trace|compile|export", told)


def test_it_stands_in_the_list(installed):
    every = [module for group in GROUPS for module in find_modules(group)]
    mine = {module.name: module for module in every if module.origin == "example-plugins 1.0"}
    assert mine.keys() == {"gated_sum", "decaying_mean"}
    assert mine["gated_sum"].group == "interactions"
    mean = mine["decaying_mean"]
    assert mean.summary == "Each state keeps a share of the one before it and adds the new event's."
    assert mean.supports == ("causal", "streams")
    assert [*mean.cannot] == ["fx_trace_gives_the_same", "export_leaves_the_number_of_events_open"]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("train_retrieval", ("--encoder", "decaying_mean", "--encoder.keep", "0.75")),
        ("train_ranking", ("--interaction", "gated_sum", "--interaction.hidden", "3")),
    ],
)
@pytest.mark.slow
def test_it_trains_through_a_recipe_by_name(site, tmp_path, recipe, words):
    write_tiny(tmp_path)
    outside(
        site, tmp_path, ROOT / "recipes" / f"{recipe}.py", *EVENTS, *SMALL, *words,
        *(("--k", "10") if recipe == "train_retrieval" else ()), "--output", "run",
    )  # fmt: skip
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    part, name, argument, value = words
    assert settings[part.strip("-")] == name
    assert settings["modules"][part.strip("-")] == {argument.partition(".")[2]: float(value)}
    assert (tmp_path / "run" / "metrics.json").is_file()


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
    with pytest.raises(InputError, match="'same'; choose one.encoder:Same or two.encoder:Same"):
        plugins.find("encoders", "same")


def test_a_built_in_name_cannot_be_taken(tmp_path, monkeypatch):
    entry = "[torchrec_ext.encoders]\ngru = lost_package.encoder:Lost\n"
    monkeypatch.syspath_prepend(_package(tmp_path, "taker", entry))
    assert plugins.names("encoders").count("gru") == 1
    assert plugins.find("encoders", "gru").__module__ == "torchrec_ext.encoders.gru"
