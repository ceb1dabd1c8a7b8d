"""What cannot be evaluated or recommended from is refused in one line, and nothing is left behind."""

import shutil
from pathlib import Path

import pytest

from tests.recipes.launch import files
from tests.recipes.tiny import EVENTS, SMALL
from tests.training.test_checkpoint import trust


@pytest.fixture(scope="module")
def trained(warm, folder):
    """A run of one epoch."""
    words = (*EVENTS, *SMALL, "--encoder", "none", "--epochs", "1", "--k", "10", "--output", "run")
    warm.launch("train_retrieval", *words, folder=folder)
    return folder / "run"


@pytest.fixture
def own(trained, tmp_path):
    """A copy of the run and its data to spoil, in a folder of its own."""
    shutil.copytree(trained, tmp_path / "run")
    shutil.copy(trained.parent / "events.csv", tmp_path)
    return tmp_path


def checkpoint(folder: Path) -> Path:
    """The one checkpoint there is."""
    (found,) = (folder / "run" / "checkpoints").glob("step-*")
    return found


def cut_short(folder: Path) -> None:
    (file,) = checkpoint(folder).glob("*.distcp")
    file.write_bytes(file.read_bytes()[:-100])


def of_another_schema(folder: Path) -> None:
    file = checkpoint(folder) / "preparation" / "schema.json"
    text = file.read_text()
    assert '"rows": 41' in text
    file.write_text(text.replace('"rows": 41', '"rows": 51'))
    trust(checkpoint(folder))


def change_data(folder: Path) -> None:
    text = (folder / "events.csv").read_text()
    (folder / "events.csv").write_text(text.replace("u0,", "u1,", 1))


def remove_checkpoints(folder: Path) -> None:
    shutil.rmtree(folder / "run" / "checkpoints")


def nothing(folder: Path) -> None:
    pass


EVALUATE = ("evaluate", "--k", "10")
RECOMMEND = ("recommend", "--users", "all", "--output")


@pytest.mark.parametrize(
    ("spoil", "words", "thing", "remedy"),
    [
        (cut_short, EVALUATE, "is cut short", "use another checkpoint"),
        (of_another_schema, EVALUATE, "does not fit the model", "open it with the schema"),
        (of_another_schema, (*RECOMMEND, "lists"), "does not fit the model", "open it with the schema"),
        (change_data, (*RECOMMEND, "lists"), "events.csv has changed since", "bring the old file back"),
        (remove_checkpoints, EVALUATE, "run has no finished checkpoint", "pass the folder of a run"),
        (nothing, ("recommend", "--users", "u1", "--k", "41"), "received 41", "the number of items, 40"),
        (nothing, ("recommend", "--users", "u1", "--checkpoint", "events.csv"), "is a file", "pass the"),
        (nothing, ("recommend", "--users", "u1", "--checkpoint", "rum"), "does not exist", "pass the"),
        (nothing, ("recommend", "--users"), "users is empty", "give at least one id"),
        (nothing, (*RECOMMEND, "run", "--overwrite"), "run is not a folder of Parquet parts", "name another"),
    ],
)  # fmt: skip
def test_it_is_refused(warm, own, spoil, words, thing, remedy):
    spoil(own)
    before = files(own)
    recipe, *rest = words
    ended = warm.launch(recipe, "--checkpoint", "run", *rest, folder=own, succeeds=False)
    assert ended.status == 2
    assert ended.error.startswith(f"{recipe}.py: ") and thing in ended.error and remedy in ended.error
    assert files(own) == before


def test_a_run_does_not_go_on_with_other_data(warm, own):
    change_data(own)
    settings = (own / "run" / "settings.json").read_text()
    words = (*EVENTS, *SMALL, "--encoder", "none", "--k", "10", "--output", "run", "--resume")
    ended = warm.launch("train_retrieval", *words, folder=own, succeeds=False)
    assert ended.status == 2 and "events.csv has changed since run was trained" in ended.error
    assert (own / "run" / "settings.json").read_text() == settings
