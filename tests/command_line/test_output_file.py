import pandas as pd
import pytest

from torchrec_ext.command_line import writable_file, write_csv
from torchrec_ext.errors import InputError

FRAME = pd.DataFrame({"a": [1, 2]})


def test_a_file_in_a_folder_that_is_made(tmp_path):
    path = writable_file(str(tmp_path / "lists" / "top.csv"))
    assert path is not None and not path.parent.exists()
    write_csv(FRAME, path)
    assert path.read_text() == "a\n1\n2\n"
    assert [file.name for file in path.parent.iterdir()] == ["top.csv"]


def test_a_file_that_is_there(tmp_path):
    path = tmp_path / "top.csv"
    path.write_text("mine")
    with pytest.raises(InputError, match="top.csv exists; add --overwrite"):
        writable_file(str(path))
    assert writable_file(str(path), overwrite=True) == path
    write_csv(FRAME, path)
    assert path.read_text() == "a\n1\n2\n"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="is a folder; name a file"):
        writable_file(str(tmp_path), overwrite=True)
    with pytest.raises(InputError, match="/dev/null is a device, which a file would replace; name a file"):
        writable_file("/dev/null", overwrite=True)


def test_no_file_is_wished_for():
    assert writable_file(None) is None
