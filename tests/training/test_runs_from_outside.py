"""A run from outside chooses neither what is imported nor what the classes of this process are."""

import json
import pickle
import shutil
import sys
from pathlib import Path
from unittest import mock

import pytest
from torch.distributed.checkpoint.metadata import Metadata

from tests.training.test_checkpoint import trust
from tests.worlds import small_world
from torchrec_ext import plugins
from torchrec_ext.command_line.parse import parse_settings
from torchrec_ext.data import leave_last_out
from torchrec_ext.errors import InputError
from torchrec_ext.models import TwoTower
from torchrec_ext.training import find_checkpoint, fit, load
from torchrec_ext.training.safe_reader import SafeReader

PAYLOAD = """
from pathlib import Path
from torchrec_ext.encoders import GRU as Model
Path({!r}).touch()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of one epoch."""
    folder = tmp_path_factory.mktemp("outside") / "run"
    train, _, _ = leave_last_out(small_world())
    with mock.patch("torchrec_ext.training.progress.draw_curves"):
        fit(TwoTower(train.schema, 4, "gru"), train, epochs=1, output=folder, progress=False)
    return folder


@pytest.fixture
def download(run, tmp_path, monkeypatch) -> Path:
    """A copy of the run with a program in it, opened from the folder that holds the download."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    shutil.copytree(run, tmp_path / "dl")
    (tmp_path / "dl" / "evil").mkdir()
    (tmp_path / "dl" / "evil" / "payload.py").write_text(PAYLOAD.format(str(tmp_path / "ran")))
    yield tmp_path / "dl"
    for name in [n for n in sys.modules if n.partition(".")[0] == "dl"]:
        del sys.modules[name]


def alter(download: Path, change) -> Path:
    """The checkpoint, whose description of the model is changed."""
    folder = find_checkpoint(download)
    content = json.loads((folder / "model.json").read_text())
    change(content["model"])
    (folder / "model.json").write_text(json.dumps(content))
    trust(folder)
    return folder


NAME = "dl.evil.payload:Model"


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.update({"class": NAME}),
        lambda model: model["arguments"].update(encoder={"class": NAME, "arguments": {}}),
        lambda model: model["arguments"].update(encoder=NAME),
    ],
    ids=["model", "part", "name"],
)
def test_a_run_does_not_choose_what_is_imported(download, tmp_path, change):
    alter(download, change)
    with pytest.raises(
        InputError, match="dl.evil.payload.*import it first, or name it with --imports"
    ) as error:
        load(download)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists() and "dl.evil.payload" not in sys.modules


def test_neither_does_a_package_beside_it_that_was_not_installed(download, tmp_path):
    info = tmp_path / "dl-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dl\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[torchrec_ext.encoders]\nevil = {NAME}\n")
    assert "evil" in plugins.names("encoders")
    alter(download, lambda model: model.update({"class": NAME}))
    with pytest.raises(InputError, match="import it first"):
        load(download)
    assert not (tmp_path / "ran").exists()


def test_the_user_does(download, tmp_path):
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Settings:
        """A recipe."""

    alter(download, lambda model: model["arguments"]["encoder"].update({"class": NAME}))
    for wrong in ("", ".payload"):
        with pytest.raises(InputError, match=f"--imports {wrong}: .*correct the name"):
            parse_settings(Settings, argv=["--imports", wrong])
    parse_settings(Settings, argv=["--imports", "dl.evil.payload"])
    assert (tmp_path / "ran").exists()
    assert load(download).epochs == 1


def test_a_refused_index_changes_no_class(run, tmp_path):
    """BUILD with a pair of dictionaries sets attributes, on a class or a function too."""
    module = b"ctorch.distributed.checkpoint.metadata\n"
    for thing in (
        module + b"Metadata\n",
        b"ctorch.serialization\n_get_layout\n",
        module + b"_MEM_FORMAT_ENCODING\n(K\x00tR",
    ):
        state = b"N}X\x07\x00\x00\x00alteredK\x01s\x86b."
        (tmp_path / ".metadata").write_bytes(b"\x80\x02" + thing + state)
        with pytest.raises(InputError, match="sets the state of") as error:
            SafeReader(tmp_path).read_metadata()
        assert "\n" not in str(error.value)
        found = pickle.loads(b"\x80\x02" + thing + b".")
        assert not hasattr(found, "altered")
    assert not hasattr(Metadata, "altered")
