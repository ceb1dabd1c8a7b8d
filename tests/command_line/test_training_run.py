"""The folder of a run, whatever becomes of the run."""

import json
from dataclasses import dataclass, field

import pandas as pd
import pytest

from torchrec_ext.command_line import DataSettings, new_run
from torchrec_ext.data import read_events
from torchrec_ext.errors import InputError

EVENTS = read_events(pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 1]}))


@dataclass(frozen=True)
class Settings:
    """Settings of a recipe."""

    source: DataSettings = field(default_factory=DataSettings)
    epochs: int = 1


def begin(run, **settings) -> None:
    run.write_settings(Settings(**settings), {}, EVENTS, recipe="train_retrieval")


def checkpoint(run) -> None:
    (run.path / "checkpoints" / "step-00000001").mkdir(parents=True)


def finished(folder, **settings):
    """A run that went through, with a checkpoint."""
    with new_run(str(folder)) as run:
        begin(run, **settings)
        checkpoint(run)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_run_writes_down(tmp_path):
    written = json.loads((finished(tmp_path / "runs" / "a") / "settings.json").read_text())
    assert written["epochs"] == 1 and written["recipe"] == "train_retrieval" and written["world_size"] == 1
    assert written["source"]["split"] == "leave_last_out"
    assert written["data"]["sha256"] == EVENTS.source.sha256 and written["data"]["events"] == 3
    assert "order of the rows" in written["data"]["ordering"]


@pytest.mark.parametrize("error", [InputError("k"), KeyboardInterrupt(), RuntimeError("bug")])
@pytest.mark.parametrize("begun", [False, True])
def test_a_new_run_that_ends_early_leaves_nothing(tmp_path, error, begun):
    with pytest.raises(type(error)), new_run(str(tmp_path / "runs" / "a")) as run:
        if begun:
            begin(run)
            (run.path / "tensorboard").mkdir()
        raise error
    assert names(tmp_path) == []


def test_its_parent_folder_stays_if_something_else_is_there(tmp_path):
    with pytest.raises(InputError), new_run(str(tmp_path / "runs" / "a")) as run:
        begin(run)
        (tmp_path / "runs" / "b").mkdir()
        raise InputError("k")
    assert names(tmp_path / "runs") == ["b"]


def test_an_empty_folder_that_was_there_stays(tmp_path):
    with pytest.raises(InputError), new_run(str(tmp_path)) as run:
        begin(run)
        raise InputError("k")
    assert names(tmp_path) == []


def test_a_run_with_a_checkpoint_stays(tmp_path):
    with pytest.raises(InputError), new_run(str(tmp_path / "a")) as run:
        begin(run)
        checkpoint(run)
        raise InputError("the loss is nan")
    assert names(tmp_path / "a") == ["checkpoints", "settings.json"]


def test_overwriting_waits_for_a_checkpoint(tmp_path):
    old = finished(tmp_path / "a", epochs=7)
    with pytest.raises(InputError), new_run(str(old), overwrite=True) as run:
        begin(run)
        raise InputError("k")
    assert json.loads((old / "settings.json").read_text())["epochs"] == 7
    assert names(old) == ["checkpoints", "settings.json"] and names(tmp_path) == ["a"]

    with new_run(str(old), overwrite=True) as run:
        begin(run)
        assert names(old) == ["settings.json"]
    assert names(old) == ["settings.json"] and names(tmp_path) == ["a"]


def test_a_new_run_with_a_checkpoint_has_overwritten_the_old_one(tmp_path):
    old = finished(tmp_path / "a", epochs=7)
    with pytest.raises(InputError), new_run(str(old), overwrite=True) as run:
        begin(run)
        checkpoint(run)
        raise InputError("the loss is nan")
    assert json.loads((old / "settings.json").read_text())["epochs"] == 1 and names(tmp_path) == ["a"]


def test_a_run_that_does_not_go_on_keeps_its_settings(tmp_path):
    old = finished(tmp_path / "a", epochs=7)
    (old / "checkpoints" / "step-00000001").rmdir()  # it ended before its first checkpoint
    with pytest.raises(InputError), new_run(str(old), resume=True) as run:
        begin(run, epochs=9)
        assert json.loads((old / "settings.json").read_text())["epochs"] == 9
        raise InputError("another model")
    assert json.loads((old / "settings.json").read_text())["epochs"] == 7
    with new_run(str(old), resume=True) as run:
        begin(run, epochs=9)
    assert json.loads((old / "settings.json").read_text())["epochs"] == 9


@pytest.mark.parametrize("flags", [{}, {"resume": True, "overwrite": True}])
def test_a_folder_that_is_taken_is_refused_at_once(tmp_path, flags):
    old = finished(tmp_path / "a")
    with pytest.raises(InputError, match="--resume"), new_run(str(old), **flags):
        pytest.fail("it was not refused")
    assert names(old) == ["checkpoints", "settings.json"]


def test_a_folder_that_holds_no_run_is_never_touched(tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    for flags in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(InputError, match="not a run of this package"), new_run(str(tmp_path), **flags):
            pytest.fail("it was not refused")
    assert names(tmp_path) == ["diary.txt"]


def test_a_run_goes_on_with_its_own_recipe_data_and_split(tmp_path):
    old = finished(tmp_path / "a")
    before = (old / "settings.json").read_text()
    other = read_events(pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 2]}))
    settings = Settings(source=DataSettings(split="by_ratio", data="elsewhere.csv"))
    for arguments, match in (
        ((Settings(), {}, EVENTS, "train_ranking"), "was begun by train_retrieval.py"),
        ((Settings(), {}, other, "train_retrieval"), "DataFrame has changed since"),
        (
            (settings, {}, EVENTS, "train_retrieval"),
            "--split is by_ratio, but the run .* began with leave_last_out",
        ),
    ):
        with pytest.raises(InputError, match=match), new_run(str(old), resume=True) as run:
            run.write_settings(*arguments)
        assert (old / "settings.json").read_text() == before
