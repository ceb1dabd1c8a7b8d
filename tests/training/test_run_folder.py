import json
from pathlib import Path

import pytest

from tests import processes
from torchrec_ext.distributed import join_group
from torchrec_ext.errors import InputError
from torchrec_ext.training import open_run, write_json


def a_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text("{}")
    return folder


def test_a_new_folder_is_made(tmp_path):
    run = open_run(tmp_path / "a" / "b")
    assert run == tmp_path / "a" / "b" and run.is_dir()
    assert open_run(run) == run, "an empty one is as good as none"
    assert open_run(tmp_path / "c", resume=True).is_dir()


def test_a_run_is_refused_resumed_or_overwritten(tmp_path):
    run = a_run(tmp_path / "run")
    with pytest.raises(InputError, match="exists; add --overwrite to delete it"):
        open_run(run)
    assert (open_run(run, resume=True) / "settings.json").is_file()
    assert list(open_run(run, overwrite=True).iterdir()) == []
    with pytest.raises(InputError, match="resume and overwrite exclude each other"):
        open_run(run, resume=True, overwrite=True)


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_what_is_no_run_is_left_alone(tmp_path, how):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(
        InputError, match="is not a run of this package, so it is neither resumed nor overwritten"
    ):
        open_run(tmp_path, **{how: True})
    with pytest.raises(InputError, match="is not a run of this package"):
        open_run(tmp_path / "thesis.tex", **{how: True})
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_json_is_written_whole(tmp_path):
    write_json(tmp_path / "a.json", {"path": tmp_path, "n": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"path": str(tmp_path), "n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def on_two_ranks(folder: Path) -> list[str]:
    group = join_group()
    run = open_run(folder / "run")
    write_json(run / "settings.json", {"rank": group.rank})
    told = []
    try:
        open_run(run)
    except InputError as error:
        told.append(str(error))
    open_run(run, overwrite=True)
    told.append(str(list(run.iterdir())))
    return told


def test_every_rank_is_told_the_same(tmp_path):
    first, second = processes.run(on_two_ranks, tmp_path)
    assert first == second and "exists" in first[0] and first[1] == "[]"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="output .*file/run cannot be created: .*Not a directory"):
        open_run(tmp_path / "file" / "run")
