"""The query tower as query.pt2, query.aoti.pt2 and query.onnx: the same queries, in any size of batch."""

import json
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from tests.worlds import rich_world, small_world
from torchrec_ext import plugin_names
from torchrec_ext.contracts import SequenceEncoder
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel
from torchrec_ext.serving import export, open_bundle
from torchrec_ext.serving.query_program import QueryProgram

SMALL, RICH = small_world(), rich_world()
TRAIN = {"small": leave_last_out(SMALL)[0], "rich": leave_last_out(RICH)[0]}
SCHEMA, RICH_SCHEMA = TRAIN["small"].schema, TRAIN["rich"].schema
ENCODERS = plugin_names.built_in("encoders")
QUICK = ("gru", "bert4rec")
FEATURES = ("user", "user_age", "user_gender")
MANY = {"query_fields": ("user", "user_friends", "context_words"), "history_fields": ("context_type",)}
MODELS = {
    **{f"encoder {e}": lambda e=e: TwoTower(SCHEMA, 8, e, max_length=20) for e in ENCODERS},
    "factorization": lambda: TwoTower(SCHEMA, 8),
    "fields": lambda: TwoTower(
        SCHEMA, 6, "gru", (*FEATURES, "context_hour"), ("item_genres",), query_hidden=(8,),
        history_fields=("item_genres", "context_device"),
    ),
    "interests": lambda: TwoTower(
        SCHEMA, 8, "comirec", FEATURES, history_fields=("context_device",), history_mix="scale"
    ),
    "masked": lambda: TwoTower(SCHEMA, 8, "bert4rec", FEATURES, max_length=2),
    "lists": lambda: TwoTower(RICH_SCHEMA, 8, "hstu", **MANY, max_length=20),
    "lists of events": lambda: TwoTower(
        RICH_SCHEMA, 8, "sasrec", ("context_mood",), history_fields=("context_words", "context_type")
    ),
    "lists in order": lambda: TwoTower(
        RICH_SCHEMA, 8, "sasrec", ("user", "context_words"), poolers={"context_words": "attention_pool"}
    ),
    "two events": lambda: TwoTower(SCHEMA, 8, "lstm", max_length=2),
    "one event": lambda: TwoTower(SCHEMA, 8, "narm", max_length=1),
}  # fmt: skip
NO_ONNX = {
    "hstu": "torch.onnx cannot export the query tower with HSTU .*No ONNX function found.*view",
    "lrurec": "torch.onnx cannot export the query tower with LRURec .*SymInt",
    "text_cnn": "torch.onnx cannot export the query tower with TextCNN .*No ONNX function found.*cummax",
}
needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))),
    reason="onnx, onnxscript and onnxruntime are not installed; the extra onnx has them",
)


def slow_but(names, quick):
    return [
        n if n.removeprefix("encoder ") in quick else pytest.param(n, marks=pytest.mark.slow) for n in names
    ]


def world_of(name):
    return ("rich", RICH) if name.startswith("lists") else ("small", SMALL)


def model(name: str) -> TrainedModel:
    """A sharded model with weights as they are drawn first."""
    torch.manual_seed(0)
    join_group()
    module = MODELS[name]()
    shard(module)
    initialise_tables(module, 0)
    return TrainedModel(module.eval(), TRAIN[world_of(name)[0]].preparation)


def batches(trained: TrainedModel, events):
    """Batches of all users, of one, and of users whose histories are empty."""
    log = trained.preparation.log(events)
    batcher, users = Batcher(trained.preparation, log, trained.inputs), np.arange(len(log.user_ids))
    ends = log.offsets[1:]
    for some, until in ((users, ends), (users[2:3], ends[2:3]), (users[:3], log.offsets[:3])):
        yield batcher.queries(some, until, batcher.context(log, np.maximum(until - 1, 0)))


def expect_same_queries(run, bundle: TrainedModel, events) -> None:
    program = QueryProgram(bundle.module, bundle.preparation.schema)
    for batch in batches(bundle, events):
        with torch.no_grad():
            wanted = bundle.module.encode_queries(batch)
            found = run(*program.tensors_of(batch))
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def of_onnx(path):
    session = pytest.importorskip("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(*tensors):
        given = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return run, names


@pytest.mark.parametrize("name", slow_but(MODELS, (*QUICK, "factorization", "lists")))
def test_the_program_of_torch_export_makes_the_queries_of_the_model(name, tmp_path):
    bundle = export(model(name), tmp_path / "b", torch_export=True).model
    run = torch.export.load(tmp_path / "b" / "query.pt2").module()
    expect_same_queries(run, bundle, world_of(name)[1])


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize("name", slow_but([n for n in MODELS if n != "lists"], ("gru", "factorization")))
def test_the_program_of_onnx_makes_the_queries_of_the_model(name, tmp_path):
    encoder = name.removeprefix("encoder ")
    if encoder in NO_ONNX:
        with pytest.raises(InputError, match=NO_ONNX[encoder]) as refusal:
            export(model(name), tmp_path / "b", onnx=True)
        assert "\n" not in str(refusal.value) and not any(tmp_path.iterdir())
        return
    bundle = export(model(name), tmp_path / "b", onnx=True).model
    run, names = of_onnx(tmp_path / "b" / "query.onnx")
    assert names == [one["name"] for one in manifest(tmp_path / "b")["query_program"]["inputs"]]
    expect_same_queries(run, bundle, world_of(name)[1])


@pytest.mark.parametrize("precision", slow_but(["float16", "bfloat16", "int8"], ("int8",)))
def test_programs_look_up_tables_of_each_precision(precision, tmp_path):
    with_onnx = all(map(find_spec, ("onnx", "onnxscript", "onnxruntime")))
    bundle = export(
        model("encoder mean_pool"), tmp_path / "b", precision=precision, torch_export=True, onnx=with_onnx
    ).model
    expect_same_queries(torch.export.load(tmp_path / "b" / "query.pt2").module(), bundle, SMALL)
    if with_onnx:
        expect_same_queries(of_onnx(tmp_path / "b" / "query.onnx")[0], bundle, SMALL)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="there is no C++ compiler")
def test_the_program_of_aot_inductor_makes_the_queries_of_the_model(tmp_path):
    bundle = export(model("encoder sasrec"), tmp_path / "b", aot_inductor=True).model
    assert manifest(tmp_path / "b")["query_program"]["files"] == ["query.aoti.pt2"]
    run = torch._inductor.aoti_load_package(tmp_path / "b" / "query.aoti.pt2")
    expect_same_queries(run, bundle, SMALL)
    with pytest.raises(
        InputError, match="AOTInductor cannot export the query tower with GRU .*: "
    ) as refusal:
        export(model("encoder gru"), tmp_path / "c", aot_inductor=True)
    assert "\n" not in str(refusal.value) and not (tmp_path / "c").exists()


def manifest(folder):
    return json.loads((folder / "bundle.json").read_text())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "b"
    export(model("lists"), folder, torch_export=True)
    return folder


def test_the_manifest_describes_the_program(exported):
    found = manifest(exported)
    shapes = {one["name"]: (one["dtype"], *one["shape"]) for one in found["query_program"]["inputs"]}
    assert shapes == {
        "history": ("int64", "batch", "events"),
        "history.lengths": ("int64", "batch"),
        "history.times": ("float64", "batch", "events"),
        "history_context_type": ("int64", "batch", "events"),
        "user": ("int64", "batch"),
        "user_friends": ("int64", "batch", "user_friends.ids"),
        "user_friends.lengths": ("int64", "batch"),
        "context_words": ("int64", "batch", "context_words.ids"),
        "context_words.lengths": ("int64", "batch"),
    }
    assert found["query_program"]["axes"]["events"] == {"min": 1, "max": 20}
    assert found["query_program"]["axes"]["batch"] == {"min": 1, "max": None}
    assert found["query_program"]["output"] == {"name": "queries", "dtype": "float32", "shape": ["batch", 8]}
    assert found["query_program"]["files"] == ["query.pt2"] and "query.pt2" in found["files"]


def test_the_archive_holds_no_pickle_and_a_bundle_never_loads_it(exported, monkeypatch):
    with zipfile.ZipFile(exported / "query.pt2") as archive:
        whole = {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name, content in whole.items() if content[:2] in (b"\x80\x02", b"\x80\x04", b"PK")]
    configs = [json.loads(content) for name, content in whole.items() if name.endswith("_config.json")]
    assert configs and not [one for c in configs for one in c["config"].values() if one["use_pickle"]]

    for name in ("load", "pt2_archive._package.load_pt2"):
        monkeypatch.setattr(f"torch.export.{name}", lambda *_, **__: pytest.fail("it loads a program"))
    open_bundle(exported)


def test_an_altered_program_is_refused(tmp_path):
    export(model("factorization"), tmp_path / "b", torch_export=True)
    path = tmp_path / "b" / "query.pt2"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=r"query\.pt2 was altered or cut short"):
        open_bundle(tmp_path / "b")


FOREIGN = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torchrec_ext", "torchrec", "fbgemm_gpu", "tensordict", "torchmetrics"):
            raise ModuleNotFoundError(f"No module named {name!r} (blocked)", name=name)
sys.meta_path.insert(0, Blocker())
import torch
run = torch.export.load(sys.argv[1]).module()
torch.save(run(*torch.load(sys.argv[2], weights_only=True)), sys.argv[3])
"""


@pytest.mark.slow
def test_a_process_without_this_package_runs_the_program(exported, tmp_path):
    bundle = open_bundle(exported).model
    batch = next(batches(bundle, RICH))
    torch.save(
        QueryProgram(bundle.module, bundle.preparation.schema).tensors_of(batch), tmp_path / "given.pt"
    )
    files = [exported / "query.pt2", tmp_path / "given.pt", tmp_path / "queries.pt"]
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN, *map(str, files)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    wanted = bundle.module.encode_queries(batch)
    torch.testing.assert_close(torch.load(files[2], weights_only=True), wanted, atol=1e-5, rtol=0)


class ReadsLengths(SequenceEncoder):
    """Its graph depends on the values of a batch."""

    causal = False

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = self.out_dim = dim

    def forward(self, events_BTD, lengths_B, times_BT=None):
        return events_BTD * 2 if lengths_B.max() > 3 else events_BTD


def test_what_cannot_be_exported_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "reads", lambda: TwoTower(SCHEMA, 8, ReadsLengths, max_length=20))
    monkeypatch.setitem(MODELS, "ranker", lambda: Ranker(SCHEMA, 8))
    cannot = "torch.export cannot export the query tower with ReadsLengths"
    for name, message in (("reads", cannot), ("ranker", "the query tower of a retriever, but the model is")):
        with pytest.raises(InputError, match=message) as refusal:
            export(model(name), tmp_path / "b", torch_export=True)
        assert "\n" not in str(refusal.value) and not any(tmp_path.iterdir())

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"onnx needs onnx, onnxscript, onnxruntime, .*\[onnx\]"):
        export(model("factorization"), tmp_path / "b", onnx=True)
