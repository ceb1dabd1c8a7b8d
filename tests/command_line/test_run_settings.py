"""A run's data, read again."""

import dataclasses
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from torchrec_ext.command_line import DataSettings, data_record, read_run_settings
from torchrec_ext.command_line.run_settings import expect_same_source
from torchrec_ext.errors import InputError


@pytest.fixture
def run(tmp_path):
    """A run's folder with its settings, trained on a file of events and a table of users."""
    (tmp_path / "data").mkdir()
    events, users = tmp_path / "data" / "events.csv", tmp_path / "data" / "users.csv"
    pd.DataFrame({"uid": ["a", "a", "b"], "item": ["x", "y", "x"]}).to_csv(events, index=False)
    pd.DataFrame({"uid": ["a", "b"], "age": [1.5, 2.5]}).to_csv(users, index=False)
    source = DataSettings(data=str(events), columns=("user=uid",), users=str(users))
    record = {"source": vars(source), "data": data_record(source.events()), "recipe": "train_retrieval"}
    (tmp_path / "run" / "checkpoints" / "step-00000001").mkdir(parents=True)
    (tmp_path / "run" / "settings.json").write_text(json.dumps(record))
    return tmp_path / "run"


def test_from_the_run_or_from_a_checkpoint(run):
    for folder in (run, run / "checkpoints" / "step-00000001"):
        source, events, settings = read_run_settings(folder)
        assert source.columns == ("user=uid",) and settings["recipe"] == "train_retrieval"
        assert list(events.frame["user"]) == ["a", "a", "b"] and events.user_features == ("age",)


def test_from_another_folder_that_the_data_moved_to(run, tmp_path):
    with pytest.raises(InputError, match="--data-dir .*/elsewhere has no events.csv"):
        read_run_settings(run, str(tmp_path / "elsewhere"))
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no file .*users.csv"):
        read_run_settings(run)
    assert len(read_run_settings(run, str(tmp_path / "elsewhere"))[1]) == 3


@pytest.mark.parametrize("name", ["events.csv", "users.csv"])
def test_any_file_that_has_changed_is_named(run, tmp_path, name):
    file = tmp_path / "data" / name
    file.write_text(file.read_text() + ("b,y\n" if name == "events.csv" else "c,3.5\n"))
    with pytest.raises(InputError, match=f"{name} has changed since"):
        read_run_settings(run)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "holds no run: there is no settings.json"),
        ("{", "is cut short or no JSON"),
        ('{"data": {}, "recipe": "demo"}', "is not of a run of train_retrieval.py or train_ranking.py"),
        ('{"source": {"colour": 1}, "data": {}, "recipe": "train_ranking"}', "is of another release"),
    ],
)
def test_settings_that_cannot_be_read(run, content, match):
    (run / "settings.json").unlink()
    if content is not None:
        (run / "settings.json").write_text(content)
    with pytest.raises(InputError, match=match):
        read_run_settings(run)


def test_a_run_of_a_release_with_fewer_settings_goes_on(run):
    source, _, settings = read_run_settings(run)
    del settings["source"]["k_core"], settings["source"]["duplicates"]
    expect_same_source(source, settings, run)
    with pytest.raises(InputError, match=r"--k-core is \[5\], but the run .* began with \[\]"):
        expect_same_source(dataclasses.replace(source, k_core=(5,)), settings, run)


def test_a_named_set_moves_with_its_folder_and_a_declared_one_with_its_file(tmp_path):
    (tmp_path / "old").mkdir()
    lines = "\n".join("\t".join(["1", *["2"] * 13, *["a"] * 26]) for _ in range(3))
    (tmp_path / "old" / "criteo-sample").mkdir()
    (tmp_path / "old" / "criteo-sample" / "criteo_train_examples_10k.txt").write_text(lines + "\n")
    (tmp_path / "old" / "mine.toml").write_text('[[events]]\nfile = "sub/events.csv"\n')
    (tmp_path / "old" / "sub").mkdir()
    (tmp_path / "old" / "sub" / "events.csv").write_text("user,item\na,x\na,y\n")
    for data in ("criteo", str(tmp_path / "old" / "mine.toml")):
        aside = str(tmp_path / "aside.parquet")
        source = DataSettings(data=data, data_dir=str(tmp_path / "old"), rejected=aside)
        record = {"source": vars(source), "data": data_record(source.events()), "recipe": "train_ranking"}
        run = tmp_path / f"run of {Path(data).stem}"
        run.mkdir()
        (run / "settings.json").write_text(json.dumps(record))
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "aside.parquet").unlink()
    assert len(read_run_settings(tmp_path / "run of criteo", str(tmp_path / "new"))[1]) == 3
    assert len(read_run_settings(tmp_path / "run of mine", str(tmp_path / "new"))[1]) == 2
    assert not (tmp_path / "aside.parquet").exists(), "reading again writes nothing"
    (tmp_path / "new" / "mine.toml").write_text('order = "none"\n[[events]]\nfile = "sub/events.csv"\n')
    with pytest.raises(InputError, match="mine.toml has changed since"):
        read_run_settings(tmp_path / "run of mine", str(tmp_path / "new"))
