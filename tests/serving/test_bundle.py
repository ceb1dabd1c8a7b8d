"""Bundles: the same lists as the run's, without TorchRec; altered ones are refused."""

import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from tests.retrieval.trained import EVENTS, TRAIN, VALID
from tests.retrieval.trained import trained as fitted
from tests.serving.models import MODELS, context_of, model
from torchrec_ext.data import Events
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.errors import InputError
from torchrec_ext.explanation import explain
from torchrec_ext.models import TwoTower
from torchrec_ext.retrieval import TrainedModel, predict, recommend
from torchrec_ext.serving import bundle as bundles
from torchrec_ext.serving import export, open_bundle
from torchrec_ext.serving.row_table import RowTable

QUICK = {"encoder gru", "encoder bert4rec", "encoder comirec", "scorer cosine", "attention din", "tasks"}
USERS = [1, 2, 3, 40]


def lists(trained: TrainedModel, events: Events = EVENTS) -> pd.DataFrame:
    return recommend(trained, events, USERS, 5, context=context_of(trained))


def expect_same_lists(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found.drop(columns="score"), wanted.drop(columns="score"))
    np.testing.assert_allclose(found["score"], wanted["score"], atol=1e-5)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]
)
def test_a_bundle_makes_the_lists_of_the_model(name, tmp_path):
    trained = model(name)
    bundle = export(trained, tmp_path / "bundle", events=EVENTS)
    expect_same_lists(lists(bundle.model), lists(trained))
    expect_same_lists(lists(bundle.model, bundle.events), lists(trained))
    files = {path.suffix for path in (tmp_path / "bundle").rglob("*") if path.is_file()}
    assert files == {".json", ".parquet", ".safetensors"}


BLOCKED = """
import sys, warnings
warnings.simplefilter("ignore")
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torchrec", "fbgemm_gpu", "tensordict", "torchmetrics"):
            raise ModuleNotFoundError(f"No module named {name!r} (blocked)", name=name)
sys.meta_path.insert(0, Blocker())
import pandas as pd
import torchrec_ext as tx
for name in sys.argv[2:]:
    bundle = tx.serving.open_bundle(f"{sys.argv[1]}/{name}").model
    events = pd.read_parquet(f"{sys.argv[1]}/events.parquet")
    context = {"device": "phone", "hour": 8.0} if {*bundle.inputs.dense} & {"context_hour"} else None
    known = tx.data.read_events(events, context=["device", "hour"])
    found = tx.retrieval.recommend(bundle, known, [1, 2, 3, 40], 5, context=context)
    found.to_parquet(f"{sys.argv[1]}/{name}.parquet")
    reasons = tx.explanation.explain(bundle, known, 2, 105, context=context)
    reasons[["contribution"]].to_parquet(f"{sys.argv[1]}/{name} reasons.parquet")
"""


def test_bundles_are_served_with_torch_alone(tmp_path):
    """In one process, since torch itself takes seconds to import."""
    names = [
        "encoder gru",
        "encoder hstu",
        "encoder bert4rec",
        "attention din",
        "hard search",
        "fields",
        "tasks",
    ]
    EVENTS.frame.to_parquet(tmp_path / "events.parquet")
    wanted = {}
    for name in names:
        wanted[name] = lists(model(name))
        export(model(name), tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(tmp_path), *names], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name in names:
        expect_same_lists(pd.read_parquet(tmp_path / f"{name}.parquet"), wanted[name])
        reasons = explain(model(name), EVENTS, 2, 105, context=context_of(model(name)))["contribution"]
        found = pd.read_parquet(tmp_path / f"{name} reasons.parquet")["contribution"]
        np.testing.assert_allclose(np.sort(found), np.sort(reasons), atol=1e-5)


def test_a_bundle_predicts_and_evaluates_as_the_model(tmp_path):
    trained = model("attention din")
    bundle = export(trained, tmp_path / "bundle", known=TRAIN, targets=VALID)
    pairs = pd.DataFrame({"user": [1, 2], "item": [101, 102], "device": "desk", "hour": 3.0})
    scores = [predict(m, EVENTS, pairs)["score"] for m in (bundle.model, trained)]
    np.testing.assert_allclose(*scores, atol=1e-6)
    figures = bundle.manifest["figures"]
    assert figures["measure"] == "auc" and figures["loss"] == 0 and figures["overlap"] == 1
    assert 0 < figures["milliseconds"]["p50"] <= figures["milliseconds"]["p99"]


def test_int8_rows_lose_at_most_half_a_step_and_three_quarters_of_the_bytes():
    weight = torch.randn(50, 64) * torch.logspace(-4, 2, 50)[:, None]
    weight[0] = 0
    table = RowTable.of(weight, "int8")
    steps = weight.abs().amax(1, keepdim=True) / 127
    assert ((table(torch.arange(50)) - weight).abs() <= 0.51 * steps).all()
    assert table.bytes == 50 * (64 + 2)


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.5), ("bfloat16", 0.5), ("int8", 0.5)])
def test_precisions_keep_the_lists_nearly(precision, share, tmp_path):
    trained = model("encoder gru")
    bundle = export(trained, tmp_path / "b", precision=precision, known=TRAIN, targets=VALID, max_loss=1)
    figures = bundle.manifest["figures"]
    assert figures["table_bytes"] <= share * figures["table_bytes_float32"]
    assert figures["overlap"] > 0.9 and figures["measure"] == "ndcg@10"
    again = lists(bundle.model).merge(lists(trained), on=["user", "item"])
    assert len(again) >= 0.9 * len(lists(trained))


def test_a_precision_that_costs_too_much_is_refused(tmp_path, monkeypatch):
    look_up = RowTable.forward

    def damaged(self, rows):
        return look_up(self, rows) * (1 if self.scale is None else -1)

    monkeypatch.setattr(RowTable, "forward", damaged)
    trained = fitted("history")
    with pytest.raises(InputError, match=r"int8 costs .*% of ndcg@10 on valid, more than max_loss=0\.01"):
        export(trained, tmp_path / "b", precision="int8", known=TRAIN, targets=VALID)
    assert not (tmp_path / "b").exists()


def test_a_folder_is_replaced_only_if_it_is_a_bundle_and_may_be(tmp_path):
    trained = model("factorization")
    export(trained, tmp_path / "b")
    with pytest.raises(InputError, match="is there already"):
        export(trained, tmp_path / "b")
    export(trained, tmp_path / "b", overwrite=True)
    modes = {path.stat().st_mode for path in (tmp_path / "b").rglob("*") if path.is_file()}
    assert len(modes) == 1 and [path.name for path in tmp_path.iterdir()] == ["b"]
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="is there already"):
        export(trained, tmp_path / "other", overwrite=True)


def test_what_cannot_be_exported_is_refused(tmp_path):
    class Own(TwoTower):
        pass

    trained = model("factorization")
    join_group()
    own = Own(TRAIN.schema, 8)
    shard(own)
    with pytest.raises(InputError, match="cannot be built again from JSON"):
        export(TrainedModel(own, TRAIN.preparation), tmp_path / "b")
    with pytest.raises(InputError, match="precision should be 'float32' or .*received 'int4'"):
        export(trained, tmp_path / "b", precision="int4")
    with pytest.raises(InputError, match="known and targets belong together"):
        export(trained, tmp_path / "b", known=TRAIN)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "b"
    export(model("fields"), folder)
    return folder


def copy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "b")


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "preparation/schema.json", "preparation/trained.safetensors"]
)
def test_files_that_are_missing_cut_short_or_altered_are_refused(name, exported, tmp_path):
    folder = copy(exported, tmp_path)
    whole = (folder / name).read_bytes()
    for content in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        (folder / name).write_bytes(content)
        with pytest.raises(InputError, match="was altered or cut short"):
            open_bundle(folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match="is missing"):
        open_bundle(folder)


def test_foreign_files_links_and_manifests_are_refused(exported, tmp_path):
    folder = copy(exported, tmp_path)
    (folder / "more.pkl").write_bytes(pickle.dumps(1))
    with pytest.raises(InputError, match=r"more\.pkl is not a file of the bundle"):
        open_bundle(folder)
    (folder / "more.pkl").unlink()
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to(exported / "weights.safetensors")
    with pytest.raises(InputError, match="leaves the folder"):
        open_bundle(folder)

    manifest = json.loads((exported / "bundle.json").read_text())
    for change, message in (
        ({"precision": "int8"}, "was altered"),
        ({"format": 99}, "has the format 99, expected 1"),
        ({"files": None, "sha256": None}, "was altered|is not the manifest"),
    ):
        (folder / "bundle.json").write_text(json.dumps(manifest | change))
        with pytest.raises(InputError, match=message):
            open_bundle(folder)
    for text in ("{", "[]", "\x00"):
        (folder / "bundle.json").write_text(text)
        with pytest.raises(InputError, match="is not the manifest of a bundle"):
            open_bundle(folder)
    (folder / "bundle.json").unlink()
    with pytest.raises(InputError, match="holds no bundle"):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("name", "part", "named", "message"),
    [
        ("tasks", "head", "evil_payload:Head", "a file does not choose what is imported"),
        ("fields", "encoder", "evil_payload:Encoder", "describes no model"),
        ("fields", "poolers", {"item_words": "evil_payload:Encoder"}, "names no class"),
        ("fields", "dim", "eight", "describes no model"),
    ],
)
def test_a_bundle_does_not_choose_what_is_imported(name, part, named, message, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "evil_payload.py").write_text("")
    folder = tmp_path / "b"
    export(model(name), folder)
    found = json.loads((folder / "bundle.json").read_text())
    del found["sha256"]
    found["model"]["arguments"][part] = named
    found["sha256"] = bundles._sha256_of(found)
    (folder / "bundle.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match=message) as error:
        open_bundle(folder)
    assert "\n" not in str(error.value) and "evil_payload" not in sys.modules
