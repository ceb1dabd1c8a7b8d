import json
import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from torchrec_ext.distributed import join_group
from torchrec_ext.errors import InputError
from torchrec_ext.training import open_run, write_json


def a_run(folder: Path, **settings: int) -> Path:
    folder.mkdir(parents=True)
    write_json(folder / "settings.json", settings)
    return folder


def content(folder: Path) -> dict[str, str]:
    """Every file under a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def in_another_process(function: Callable[..., None], *args: Any) -> int:
    """The exit status of a function in a new process; a fork of this one could inherit a held lock."""
    child = get_context("spawn").Process(target=function, args=args)
    child.start()
    child.join(120)
    assert child.exitcode is not None, "it did not end within 120 s"
    return child.exitcode


def write_and_die(output: Path, write: str, how: dict[str, bool]) -> None:
    with open_run(output, **how) as run:
        (run / write).parent.mkdir(parents=True, exist_ok=True)
        (run / write).write_text("new")
        os.kill(os.getpid(), signal.SIGKILL)


def killed(output: Path, write: str, **how: bool) -> None:
    """A process that opens a run, writes a file into it and is killed."""
    assert in_another_process(write_and_die, output, write, how) == -signal.SIGKILL


def expect_refusal(run: Path, holder: int) -> None:
    with pytest.raises(InputError, match=f"output {run} is in use by process {holder} on "):
        open_run(run, resume=True).__enter__()


def test_a_new_folder_is_made(tmp_path):
    with open_run(tmp_path / "a" / "b") as run:
        assert run == tmp_path / "a" / "b" and run.is_dir()
    assert list(tmp_path.iterdir()) == [], "nothing was written"
    (tmp_path / "c").mkdir()
    with open_run(tmp_path / "c", resume=True) as run:
        write_json(run / "settings.json", {})
    assert content(tmp_path) == {"c/settings.json": "{}\n"}, "no lock stays"


def test_a_run_is_refused_resumed_or_overwritten(tmp_path):
    run = a_run(tmp_path / "run")
    with pytest.raises(InputError, match="exists; add --overwrite to delete it"), open_run(run):
        pass
    with open_run(run, resume=True):
        assert (run / "settings.json").is_file()
    with (
        pytest.raises(InputError, match="resume and overwrite exclude"),
        open_run(run, resume=True, overwrite=True),
    ):
        pass
    with open_run(run, overwrite=True):
        assert list(run.iterdir()) == []
    assert content(tmp_path) == {}, "it was overwritten with nothing"


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_what_is_no_run_is_left_alone(tmp_path, how):
    (tmp_path / "thesis.tex").write_text("years of work")
    for place in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(InputError, match="is not a run of this package"), open_run(place, **{how: True}):
            pass
    assert content(tmp_path) == {"thesis.tex": "years of work"}


@pytest.mark.parametrize("name", ["metrics.json", "dot/checkpoints/step-00000008/model.json"])
def test_a_run_is_replaced_once_the_next_has_results(tmp_path, name):
    for end in (InputError("k"), KeyboardInterrupt()):
        run = a_run(tmp_path / type(end).__name__, epochs=7)
        with pytest.raises(type(end)), open_run(run, overwrite=True):
            write_json(run / "settings.json", {})
            raise end
        assert content(run.parent)[f"{run.name}/settings.json"] == '{\n  "epochs": 7\n}\n'
        with pytest.raises(type(end)), open_run(run, overwrite=True):
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text("new")
            raise end
        assert content(run) == {name: "new"}
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.slow
def test_a_run_comes_back_if_the_next_was_killed_before_its_first_result(tmp_path):
    run = a_run(tmp_path / "run", epochs=7)
    before = content(tmp_path)
    killed(run, "checkpoints/step-00000008.partial/model.json", overwrite=True)
    with (
        pytest.warns(UserWarning, match="was killed before its first checkpoint"),
        open_run(run, resume=True),
    ):
        pass
    assert content(tmp_path) == before
    killed(run, "checkpoints/step-00000008/model.json", overwrite=True)
    with open_run(run, resume=True):
        pass
    assert content(tmp_path) == {"run/checkpoints/step-00000008/model.json": "new"}


@pytest.mark.slow
def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    run = tmp_path / "run"
    with open_run(run):
        assert in_another_process(expect_refusal, run, os.getpid()) == 0
    killed(run, "settings.json")
    with open_run(run, resume=True):
        assert content(run) == {"settings.json": "new"}


def test_a_link_to_a_run_is_the_run(tmp_path):
    run = a_run(tmp_path / "runs" / "a")
    link = tmp_path / "newest"
    link.symlink_to(run)
    with open_run(link, overwrite=True):
        with pytest.raises(InputError, match="in use by process"), open_run(run, resume=True):
            pass
        write_json(link / "metrics.json", 1)
    assert link.is_symlink() and content(run) == {"metrics.json": "1\n"}


def test_json_is_written_whole(tmp_path):
    write_json(tmp_path / "a.json", {"path": tmp_path, "n": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"path": str(tmp_path), "n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def on_two_ranks(folder: Path) -> list[str]:
    group = join_group()
    seen = []
    with open_run(folder / "run") as run:
        write_json(run / "settings.json", {"rank": group.rank})
    try:
        with open_run(run):
            pass
    except InputError as error:
        seen.append(str(error))
    with open_run(run, overwrite=True):
        seen.append(str(list(run.iterdir())))
    return seen


def test_every_rank_is_told_the_same(tmp_path):
    first, second = processes.run(on_two_ranks, tmp_path)
    assert first == second and "exists" in first[0] and first[1] == "[]"


@pytest.mark.parametrize(("name", "reason"), [("file/run", "File exists"), ("x" * 255, "File name too long")])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, name, reason):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=f"output .*{name} cannot be created: .*{reason}"),
        open_run(tmp_path / name),
    ):
        pass
    assert content(tmp_path) == {"file": ""}
