import json
import pickle
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torchrec.optim.keyed import CombinedOptimizer

from tests import processes
from tests.shards import assert_equal, held, joined
from tests.worlds import small_world
from torchrec_ext.data import Dataset, leave_last_out
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.models import TwoTower, task_for
from torchrec_ext.training import (
    Checkpoints,
    Optimization,
    find_checkpoint,
    fit,
    load,
    load_weights,
    save_checkpoint,
)
from torchrec_ext.training.checkpoint import load_training_state
from torchrec_ext.training.optimizers import make_optimizer

TRAIN, VALID, TEST = leave_last_out(small_world())
Sharding = Mapping[str, str]
State = dict[str, Tensor]


def sharded(sharding: Sharding | None = None, dim: int = 10) -> tuple[TwoTower, CombinedOptimizer]:
    """A model with tables in both collections, whose width is padded, and its optimizer."""
    model = TwoTower(TRAIN.schema, dim, "gru", ("user",), ("item_genres",))
    task = task_for(model)
    return model, make_optimizer(shard(task, sharding=sharding, learning_rate=0.1), 0.01)


def trained(run: Path, sharding: Sharding) -> tuple[State, State]:
    """Trains a step or two with a checkpoint of its own; what this rank holds of weights and optimizer."""
    model = TwoTower(TRAIN.schema, 10, "gru", ("user",), ("item_genres",))
    saved: list[tuple[nn.Module, CombinedOptimizer]] = []
    with (
        mock.patch("torchrec_ext.training.progress.draw_curves"),
        mock.patch.object(
            sys.modules["torchrec_ext.training.train_epochs"],
            "make_optimizer",
            lambda *a: remember(saved, model, *a),
        ),
    ):
        fit(
            model,
            TRAIN,
            epochs=1,
            sharding=sharding,
            output=run,
            progress=False,
            optimization=Optimization(global_batch_size=32),
        )
    return held(model.state_dict()), held(saved[0][1].state_dict()["state"])


def remember(saved: list, model: nn.Module, *arguments: object) -> CombinedOptimizer:
    optimizer = make_optimizer(*arguments)
    saved.append((model, optimizer))
    return optimizer


def reloaded(run: Path, sharding: Sharding) -> tuple[State, State]:
    """What this rank holds after reading the newest checkpoint into a new model."""
    model, optimizer = sharded(sharding)
    load_training_state(find_checkpoint(run, "latest"), model, optimizer)
    return held(model.state_dict()), held(optimizer.state_dict()["state"])


def saved_again(run: Path, again: Path, sharding: Sharding) -> tuple[State, State]:
    """The same, and writes it into another run."""
    model, optimizer = sharded(sharding)
    position = load_training_state(find_checkpoint(run, "latest"), model, optimizer)
    save_checkpoint(again, 7, model, optimizer, TRAIN.preparation, position, {})
    return held(model.state_dict()), held(optimizer.state_dict()["state"])


ROW_WISE = {"user": "row_wise", "item": "row_wise", "item_genres": "row_wise"}
TABLE_WISE = dict.fromkeys(ROW_WISE, "table_wise")
REPLICATED = dict.fromkeys(ROW_WISE, "data_parallel")


def on_two_ranks_first(folder: Path) -> dict[str, tuple[State, State]]:
    return {"trained": trained(folder / "first", ROW_WISE)}


def on_two_ranks_again(folder: Path) -> dict[str, tuple[State, State]]:
    join_group()
    found = {
        "row_wise": reloaded(folder / "second", ROW_WISE),
        "table_wise": reloaded(folder / "second", TABLE_WISE),
    }
    trained = load(folder / "second", sharding=REPLICATED)
    found["data_parallel"] = held(trained.module.state_dict()), {}
    return found


@pytest.mark.slow
def test_weights_and_optimizer_go_from_two_processes_to_one_and_back_in_any_sharding(tmp_path):
    first = [rank["trained"] for rank in processes.run(on_two_ranks_first, tmp_path)]
    weights, optimizer = joined([w for w, _ in first]), joined([o for _, o in first])
    momenta = [name for name in optimizer if "momentum1" in name]
    assert len(momenta) == 3 and all(optimizer[name].max() > 0 for name in momenta)
    assert any("exp_avg_sq" in name for name in optimizer)

    alone, alone_optimizer = saved_again(tmp_path / "first", tmp_path / "second", TABLE_WISE)
    assert_equal(alone, weights)
    assert_equal(alone_optimizer, optimizer)
    copies = load(tmp_path / "first", sharding=REPLICATED)
    assert_equal(held(copies.module.state_dict()), weights)

    second = processes.run(on_two_ranks_again, tmp_path)
    for kind in ("row_wise", "table_wise", "data_parallel"):
        assert_equal(joined([rank[kind][0] for rank in second]), weights)
    for kind in ("row_wise", "table_wise"):
        assert_equal(joined([rank[kind][1] for rank in second]), optimizer)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run of three epochs that were validated."""
    folder = tmp_path_factory.mktemp("run")
    model = TwoTower(TRAIN.schema, 8, GRU(8))
    with mock.patch("torchrec_ext.training.progress.draw_curves"):
        fit(
            model,
            TRAIN,
            VALID,
            epochs=4,
            output=folder,
            progress=False,
            optimization=Optimization(global_batch_size=32),
            checkpoints=Checkpoints(keep=2),
        )
    return folder


def test_the_newest_ones_and_the_best_stay(tmp_path):
    model, optimizer = sharded()

    def names() -> set[str]:
        return {p.name for p in (tmp_path / "checkpoints").iterdir()}

    for step in range(1, 7):
        save_checkpoint(
            tmp_path, step, model, optimizer, TRAIN.preparation, {}, {}, keep=2, best=step in (2, 3)
        )
        newest = {f"step-{s:08d}" for s in range(max(step - 1, 1), step + 1)}
        best = {f"step-{min(step, 3):08d}"} if step >= 2 else set()
        assert names() == newest | best | {"latest"} | ({"best"} if step >= 2 else set())
    assert find_checkpoint(tmp_path).name == "step-00000003"
    assert find_checkpoint(tmp_path, "latest").name == "step-00000006"
    assert find_checkpoint(tmp_path / "checkpoints" / "step-00000005").name == "step-00000005"


def test_a_crash_while_writing_leaves_the_checkpoint_before(tmp_path):
    model, optimizer = sharded()
    save_checkpoint(tmp_path, 1, model, optimizer, TRAIN.preparation, {"step": 1}, {})
    wanted = held(model.state_dict())
    with torch.no_grad():
        model.query_tower.project.weight.fill_(7.0)

    for place in (
        "torch.distributed.checkpoint.save",
        "torchrec_ext.data.preparation.Preparation.save",
        "pathlib.Path.rename",
    ):
        with (
            mock.patch(place, side_effect=RuntimeError("pulled the plug")),
            pytest.raises(RuntimeError),
        ):
            save_checkpoint(tmp_path, 2, model, optimizer, TRAIN.preparation, {"step": 2}, {})
        newest = find_checkpoint(tmp_path)
        assert newest.name == "step-00000001", place
        assert json.loads((newest / "position.json").read_text()) == {"step": 1}
        again, _ = sharded()
        load_weights(newest, again)
        assert_equal(held(again.state_dict()), wanted)

    save_checkpoint(tmp_path, 3, model, optimizer, TRAIN.preparation, {"step": 3}, {})
    left = {p.name for p in (tmp_path / "checkpoints").iterdir()}
    assert left == {"latest", "step-00000001", "step-00000003"}, "what was half-written is gone"


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("place", "error", "reason"),
    [
        ("torch.distributed.checkpoint.FileSystemWriter.write_data", FULL, "No space left on device"),
        (
            "torch.distributed.checkpoint.FileSystemWriter.write_data",
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"),
            "the disk is full or fails",
        ),
        ("torchrec_ext.data.preparation.Preparation.save", FULL, "No space left on device"),
        ("torchrec_ext.training.checkpoint.write_manifest", FULL, "No space left on device"),
    ],
)
def test_a_full_disk_is_one_line(tmp_path, place, error, reason):
    model, optimizer = sharded()
    with (
        mock.patch(place, side_effect=error),
        pytest.raises(InputError, match=f"step-00000001 cannot be written: .*{reason}") as caught,
    ):
        save_checkpoint(tmp_path, 1, model, optimizer, TRAIN.preparation, {}, {})
    assert "\n" not in str(caught.value)


def test_each_file_cut_short_is_one_line(run, tmp_path):
    newest = find_checkpoint(run)
    files = sorted(p.relative_to(newest) for p in newest.rglob("*") if p.is_file())
    assert {"manifest.json", ".metadata", "model.json", "position.json", "__0_0.distcp"} <= {
        p.name for p in files
    }
    assert len(files) > 8
    for file in files:
        copy = tmp_path / "copy"
        shutil.copytree(newest, copy)
        content = (copy / file).read_bytes()
        for short in (content[: len(content) // 2], b""):
            (copy / file).write_bytes(short)
            with pytest.raises(InputError, match="cut short") as error:
                load(copy)
            assert "\n" not in str(error.value) and file.name in str(error.value)
        (copy / file).unlink()
        with pytest.raises(InputError, match="cut short|has no finished checkpoint"):
            load(copy)
        shutil.rmtree(copy)


def test_a_path_without_a_checkpoint_is_explained(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist; pass the folder of a run"):
        find_checkpoint(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no finished checkpoint; pass the folder of a run"):
        find_checkpoint(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "latest").write_text("step-00000009\n")
    with pytest.raises(InputError, match="has no finished checkpoint"):
        find_checkpoint(tmp_path)


def test_a_version_that_this_release_does_not_read(run, tmp_path):
    newest = find_checkpoint(run)
    shutil.copytree(newest, tmp_path / "copy")
    content = json.loads((newest / "model.json").read_text())
    (tmp_path / "copy" / "model.json").write_text(json.dumps({**content, "version": 9}, indent=2) + "\n")
    trust(tmp_path / "copy")
    with pytest.raises(InputError, match="written in version 9 of the format, this release reads"):
        load(tmp_path / "copy")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: TwoTower(TRAIN.schema, 12, GRU(12)), "does not fit the model: .*"),
        (lambda: TwoTower(TRAIN.schema, 8, GRU(8, layers=2)), "does not fit the model: .*recurrence"),
        (
            lambda: TwoTower(other_part().schema, 8, GRU(8)),
            r"has another schema \(tables: .*'item', rows=26\) here, .*'item', rows=31\) in the checkpoint",
        ),
    ],
)
def test_another_model_is_refused(run, model, message):
    with pytest.raises(InputError, match=message) as error:
        load(run, model=model())
    assert "\n" not in str(error.value)


def other_part() -> Dataset:
    return leave_last_out(small_world(items=25))[0]


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_an_index_that_would_run_something_is_refused(run, tmp_path):
    newest = find_checkpoint(run)
    folder = tmp_path / "copy"
    shutil.copytree(newest, folder)
    index = folder / ".metadata"
    metadata = pickle.loads(index.read_bytes())
    metadata.storage_data["bomb"] = Bomb(tmp_path / "exploded")
    for content, named in (
        (pickle.dumps(metadata), "pathlib.Path.touch|pathlib.*touch|builtins.getattr"),
        (b"cos\nsystem\n(S'touch " + str(tmp_path / "exploded").encode() + b"'\ntR.", "os.system"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"ctorch.distributed.checkpoint.metadata\nos\n.", "torch.distributed.checkpoint.metadata.os"),
        (b"ctorch\nload\n.", "torch.load"),
    ):
        index.write_bytes(content)
        trust(folder)
        with pytest.raises(
            InputError, match=f"cannot be read .it names ({named}), which no checkpoint needs"
        ):
            load(folder)
        assert not (tmp_path / "exploded").exists()


def test_an_entry_that_is_no_tensor_is_refused(run, tmp_path):
    """The stock planner would unpickle it."""
    model, _ = sharded(dim=8)
    exploded = tmp_path / "exploded"
    dcp.save(
        {"model": model.state_dict(), "extra": Bomb(exploded)},
        storage_writer=dcp.FileSystemWriter(tmp_path / "copy"),
    )
    exploded.unlink(missing_ok=True)  # writing it may have copied it
    for file in find_checkpoint(run).iterdir():
        if file.name not in (".metadata", "manifest.json") and file.suffix != ".distcp":
            (shutil.copytree if file.is_dir() else shutil.copy)(file, tmp_path / "copy" / file.name)
    trust(tmp_path / "copy")
    with pytest.raises(
        InputError, match="'extra' in .* is not a tensor; this is not a checkpoint of torchrec_ext"
    ):
        load(tmp_path / "copy")
    assert not exploded.exists()


@pytest.mark.parametrize(
    "content", [pickle.dumps({"a": 1}), b"", b"\x80\x04garbage", b"garbage", pickle.dumps(None)], ids=str
)
def test_an_index_that_is_none_is_refused(run, tmp_path, content):
    shutil.copytree(find_checkpoint(run), tmp_path / "copy")
    (tmp_path / "copy" / ".metadata").write_bytes(content)
    trust(tmp_path / "copy")
    with pytest.raises(InputError, match="cannot be read|not a checkpoint of torchrec_ext") as error:
        load(tmp_path / "copy")
    assert "\n" not in str(error.value)


def trust(folder: Path) -> None:
    """Writes a manifest of what is there, as an attacker would."""
    sizes = {
        str(p.relative_to(folder)): p.stat().st_size
        for p in folder.rglob("*")
        if p.is_file() and p.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(sizes))
