"""--help and settings that do not exist, in every recipe."""

import dataclasses
import subprocess
import sys
from importlib import import_module

import pytest

from tests.recipes.launch import ROOT, launch, user_environment
from torchrec_ext import plugins
from torchrec_ext.command_line import parse_settings

RECIPES = (
    "describe", "train_retrieval", "train_ranking", "evaluate", "recommend", "predict", "own_pipeline",
    "learn_from_feedback", "explain", "video",
)  # fmt: skip


@pytest.fixture
def call(capsys):
    """Parses a command line at which the parser ends a recipe; its status and what it printed."""

    def call(recipe: str, *words: str) -> tuple[int, str, str]:
        module = import_module(f"recipes.{recipe}")
        with pytest.raises(SystemExit) as end:
            parse_settings(module.Settings, getattr(module, "PARTS", None), words)
        return end.value.code, *capsys.readouterr()

    return call


def settings_of(recipe: str) -> list[str]:
    """The flags of all settings of a recipe, those of its groups too; ``checkpoints`` keeps its prefix."""
    names = []
    for field in dataclasses.fields(import_module(f"recipes.{recipe}").Settings):
        made = field.default_factory() if field.default_factory is not dataclasses.MISSING else None
        if dataclasses.is_dataclass(made):
            prefix = "checkpoints." if field.name == "checkpoints" else ""
            names += [prefix + inner.name for inner in dataclasses.fields(made)]
        else:
            names.append(field.name)
    return names


@pytest.mark.parametrize("recipe", RECIPES)
def test_help_names_every_setting(call, recipe):
    status, out, _ = call(recipe, "--help")
    assert status == 0
    for name in settings_of(recipe):
        flag = name.replace("_", "-")
        assert f"--{flag}" in out or f"--no-{flag}" in out  # what is on by default has the second form


def test_recipes_that_train_share_their_names():
    shared = {
        "global_batch_size",
        "patience",
        "checkpoints.every",
        "seed",
        "data_dir",
        "output",
        "resume",
        "overwrite",
        "device",
        "timeout",
    }
    for recipe in ("train_retrieval", "train_ranking"):
        assert shared <= set(settings_of(recipe))


def test_help_names_the_plug_ins_and_their_settings(call):
    out = call("train_retrieval", "--encoder", "gru", "--help")[1]
    assert f"Encoders: {plugins.names('encoders')[0]}, " in out
    assert "encoder options" in out and "--encoder.layers INT" in out
    assert "encoder options" not in call("train_retrieval", "--encoder", "mean_pool", "--help")[1]
    assert "--interaction.filters" in call("train_ranking", "--interaction=convolution", "--help")[1]


def test_help_from_a_shell(tmp_path):
    assert "--checkpoint" in launch("evaluate", "--help", folder=tmp_path).out[0]


HELP_OF_ALL = """
import runpy, sys
from pathlib import Path

sys.path.insert(0, "recipes")
for script in sorted(Path("recipes").glob("*.py")):
    if "run_recipe(" in script.read_text():
        sys.argv = [str(script), "--help"]
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            assert not end.code
        slow = {"torch", "torchrec", "pandas", "duckdb", "sklearn", "matplotlib"} & sys.modules.keys()
        assert not slow, f"{script} imports {slow}"
        print("help of", script.stem)
"""


def test_help_imports_nothing_that_takes_seconds():
    command = [sys.executable, "-c", HELP_OF_ALL]
    done = subprocess.run(
        command, cwd=ROOT, env=user_environment(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert {f"help of {recipe}" for recipe in RECIPES} <= {*done.stdout.splitlines()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_unknown_setting_is_refused_with_the_nearest(call, recipe):
    others = {"describe": "output", "own_pipeline": "steps", "predict": "pairs", "recommend": "users"}
    others |= {"explain": "user", "video": "candidates"}
    name = others.get(recipe, "device")
    needed = ("--checkpoint", "x")
    if recipe == "learn_from_feedback":
        needed = ("--run", "x", "--events", "y", "--output", "z")
    status, _, err = call(recipe, f"--{name[:-1]}", "1", *needed)
    assert status == 2
    assert "Unrecognized options" in err and f"--{name} " in err


def test_an_unknown_setting_of_a_plug_in_is_refused_with_the_nearest(call):
    status, _, err = call("train_retrieval", "--encoder.hiden", "8")
    assert status == 2 and "Unrecognized options: --encoder.hiden" in err and "--encoder.hidden " in err
    status, _, err = call("train_ranking", "--interaction", "convolution", "--interaction.filters", "many")
    assert status == 2 and "--interaction.filters" in err and "'many'" in err


def test_rank_0_alone_speaks(call, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert call("evaluate", "--help") == (0, "", "")
    assert call("evaluate", "--nonsense") == (2, "", "")
