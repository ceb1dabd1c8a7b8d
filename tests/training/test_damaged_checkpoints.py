"""A damaged checkpoint is survived with a warning or refused in one line, and never changes a result."""

import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from torch import Tensor

from tests import processes
from tests.shards import assert_equal, held
from tests.training.test_checkpoint import trust
from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.errors import InputError
from torchrec_ext.models import TwoTower
from torchrec_ext.retrieval import TrainedModel
from torchrec_ext.training import Optimization, find_checkpoint, fit, load
from torchrec_ext.training import manifest as manifests
from torchrec_ext.training.find_checkpoint import _warn_once, checkpoints_of

TRAIN, VALID, _ = leave_last_out(small_world())


def train(run: Path, epochs: int, *, resume: bool = False) -> TrainedModel:
    with mock.patch("torchrec_ext.training.progress.draw_curves"):
        return fit(
            TwoTower(TRAIN.schema, 4, "gru"), TRAIN, epochs=epochs, output=run, progress=False, resume=resume,
            optimization=Optimization(global_batch_size=64),
        )  # fmt: skip


def weights(trained: TrainedModel) -> dict[str, Tensor]:
    return held(trained.module.state_dict())


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of two epochs and two checkpoints."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(folder, 2)
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def flip(file: Path, place: int) -> None:
    """Flips one bit of a file."""
    content = bytearray(file.read_bytes())
    content[place // 8] ^= 1 << place % 8
    file.write_bytes(content)


def tensors(checkpoint: Path) -> Path:
    (file,) = checkpoint.glob("*.distcp")
    return file


@contextmanager
def spoilt(file: Path, content: bytes) -> Iterator[None]:
    before = file.read_bytes()
    file.write_bytes(content)
    yield
    file.write_bytes(before)


def warned(caplog) -> list[str]:
    """The warnings of this package, each of one line."""
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("torchrec_ext")]
    assert all("is used in its place" in line and "\n" not in line for line in lines)
    return lines


def survives(run: Path, chance: random.Random, flips: int, cuts: int, caplog) -> dict[str, int]:
    """Spoils the checkpoints of a run at random places, one at a time; how often each end occurred."""
    expected = {folder.name: weights(load(folder)) for folder in checkpoints_of(run)}
    newest = max(expected)
    files = sorted(p for p in (run / "checkpoints").rglob("*") if p.is_file())
    # the run falls back; a checkpoint that is named does not
    ends = {"equal": 0, "fallback": 0, "refused": 0}
    for number in range(flips + cuts):
        file = chance.choice(files)
        content = bytearray(file.read_bytes())
        if number < flips:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            del content[chance.randrange(len(content)) :]
        path = run if chance.random() < 0.5 else run / "checkpoints" / newest
        caplog.clear()
        _warn_once.cache_clear()
        with spoilt(file, bytes(content)):
            try:
                trained = load(path)
            except InputError as error:
                assert "\n" not in str(error) and newest in str(error) and "use another" in str(error)
                ends["refused"] += 1
                continue
        assert trained.checkpoint is not None
        assert_equal(weights(trained), expected[trained.checkpoint.name])
        warnings = warned(caplog)
        assert len(warnings) == 1 or not warnings and trained.checkpoint.name == newest
        ends["fallback" if warnings else "equal"] += 1
    return ends


def test_a_few_bits_and_cuts(run, caplog):
    ends = survives(run, random.Random(0), 8, 4, caplog)
    assert min(ends.values()) > 0


@pytest.mark.slow
def test_many_bits_and_cuts(run, caplog):
    ends = survives(run, random.Random(1), 200, 50, caplog)
    assert min(ends.values()) > 0


def test_each_kind_of_file_has_a_checksum(run):
    newest = find_checkpoint(run)
    for file in sorted(p for p in newest.rglob("*") if p.is_file() and p.name != "manifest.json"):
        with spoilt(file, file.read_bytes()):
            flip(file, 8 * (file.stat().st_size // 2))
            with pytest.raises(InputError, match="use another checkpoint of the run") as error:
                load(newest)
            assert file.name in str(error.value) and "\n" not in str(error.value)


def test_a_checkpoint_of_an_older_release_has_none(run):
    newest = find_checkpoint(run)
    expected = weights(load(newest))
    trust(newest)
    (run / "checkpoints" / "latest").write_text(newest.name + "\n")
    assert_equal(weights(load(run)), expected)
    tensors(newest).write_bytes(tensors(newest).read_bytes()[:-1])
    with pytest.raises(InputError, match="is cut short"):
        load(newest)


def test_what_was_damaged_before_its_checksums_were_written_is_one_line(run):
    newest = find_checkpoint(run)
    ours = [p for p in newest.rglob("*") if p.is_file() and p.name not in ("manifest.json", "__0_0.distcp")]
    for file in sorted(ours):
        before = (newest / "manifest.json").read_bytes()
        with spoilt(file, file.read_bytes()[: file.stat().st_size // 2]):
            trust(newest)
            with pytest.raises(InputError, match="cannot be read|does not fit") as error:
                load(newest)
        assert "\n" not in str(error.value)
        (newest / "manifest.json").write_bytes(before)


@pytest.mark.parametrize("damage", ["bit", "no manifest", "no pointer", "another pointer"])
def test_the_newest_whole_one_takes_its_place(run, caplog, damage):
    newest, older = checkpoints_of(run)
    pointer = run / "checkpoints" / "latest"
    if damage == "bit":
        flip(tensors(newest), 8000)
    elif damage == "no manifest":
        (newest / "manifest.json").unlink()
    elif damage == "no pointer":
        pointer.unlink()
    else:
        pointer.write_text(pointer.read_text().replace(newest.name, older.name))
    whole = newest if "pointer" in damage else older
    assert find_checkpoint(run) == find_checkpoint(run, "latest") == whole
    (warning,) = warned(caplog)
    assert f"{whole} is used in its place" in warning


@pytest.mark.parametrize("text", ["{}", "[" * 10**5, "[1]", '{"model.json": {"bytes": NaN}}', "\x00"])
def test_a_manifest_of_any_json_is_survived(run, caplog, text):
    newest, older = checkpoints_of(run)
    (newest / "manifest.json").write_text(text)
    assert find_checkpoint(run) == older
    assert len(warned(caplog)) == 1


def test_a_missing_best_one_is_noticed(run, caplog):
    newest, _ = checkpoints_of(run)
    (run / "checkpoints" / "best").unlink()
    assert load(run).checkpoint == newest
    (warning,) = warned(caplog)
    assert warning.startswith(f"{run}/checkpoints/best is missing; ")


def test_training_never_begins_again_over_a_checkpoint(finished, run):
    newest, older = checkpoints_of(run)
    flip(tensors(newest), 8000)
    (run / "checkpoints" / "latest").unlink()
    with pytest.raises(InputError, match="contains a run; pass resume=True"):
        train(run, 2)
    assert_equal(weights(train(run, 2, resume=True)), weights(load(finished)))
    assert find_checkpoint(newest) == newest, "it was trained and written again"


def test_it_does_not_begin_again_where_none_is_whole(run):
    for folder in checkpoints_of(run):
        flip(tensors(folder), 8000)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="is damaged: '__0_0.distcp' is not what was written") as error:
        train(run, 2, resume=True)
    assert "\n" not in str(error.value)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_all_is_on_the_disk_before_it_has_its_name(tmp_path):
    """A rename that reaches the disk before the content of its file leaves an empty file at a power cut."""
    synced: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def remember(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def check(old: Path, new: Path) -> None:
        files = [p for p in old.rglob("*") if p.is_file()] if old.is_dir() else [old]
        # a file may have been synced under the name that it was written by
        names = {path.removesuffix(".new").removesuffix(".tmp") for path in synced}
        assert {str(p).removesuffix(".new").removesuffix(".tmp") for p in files} <= names
        assert not old.is_dir() or {str(old), str(old / "preparation")} <= set(synced)
        renamed.append(new.name)
        rename(old, new)

    renamed: list[str] = []
    with mock.patch("os.fsync", remember), mock.patch.object(Path, "rename", check):
        train(tmp_path, 1)
    assert renamed[-4:] == ["manifest.json", "step-00000001", "best", "latest"]
    assert synced[-1] == str(tmp_path / "checkpoints")


def on_two_ranks(run: Path, disagree: bool) -> tuple[str, dict[str, Tensor]]:
    sha256_of = manifests.sha256_of
    if disagree and os.environ["RANK"] == "1":
        newest = str(checkpoints_of(run)[0])
        wrong = mock.patch.object(
            manifests, "sha256_of", lambda p: "0" if str(p).startswith(newest) else sha256_of(p)
        )
        wrong.start()
    trained = load(run)
    assert trained.checkpoint is not None
    again = train(run, 2, resume=True)
    return trained.checkpoint.name, weights(again)


@pytest.mark.slow
@pytest.mark.parametrize("disagree", [False, True])
def test_all_ranks_take_the_same_one(run, disagree):
    newest, older = checkpoints_of(run)
    if not disagree:
        flip(tensors(newest), 8000)
    (first, _), (second, _) = processes.run(on_two_ranks, run, disagree)
    assert first == second == older.name
    assert json.loads((newest / "position.json").read_text())["epoch"] == 2
