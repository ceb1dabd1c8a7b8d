"""An index that a bundle holds: the same lists after it was saved, and what is refused when it is read."""

import json

import pytest
import torch

from recipes.serve import open_with_index
from tests.retrieval.trained import EVENTS
from tests.serving.models import model
from tests.serving.test_faiss_index import KINDS, catalogue, queries
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import ExactIndex
from torchrec_ext.serving import FaissIndex, ListRequest, Service, SqliteEventStore, export
from torchrec_ext.serving.stored_index import read_index

pytest.importorskip("faiss", reason="faiss-cpu is not installed")

WEAK = {"hnsw": {"neighbours": 2, "ef_search": 8}, "ivf": {"clusters": 30, "probes": 2}}
"""Settings whose lists are not the exact ones."""


def built(kind, vectors, ids, **settings):
    index = FaissIndex(kind, **WEAK[kind], **settings)
    index.build(vectors, ids)
    return index


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("items", [2000, 30])
def test_an_index_of_arrays_makes_the_same_lists(kind, items):
    vectors, ids = catalogue(items)
    index = built(kind, vectors, ids)
    again = built(kind, vectors, ids, arrays=index.arrays)
    asked = queries(100, 16)
    for one, other in zip(index.search(asked, 20), again.search(asked, 20), strict=True):
        assert torch.equal(one, other)
    assert index.recall["recall@10"] < 1 or items == 30
    assert all(torch.equal(array, again.arrays[name]) for name, array in index.arrays.items())


@pytest.fixture(scope="module", params=KINDS)
def bundle(request, tmp_path_factory):
    """A bundle of the tests' model with each kind of index."""
    folder = tmp_path_factory.mktemp("bundles") / request.param
    export(model("encoder gru"), folder, events=EVENTS, index=FaissIndex(request.param))
    return folder


def test_a_service_opens_the_index_of_a_bundle(bundle, tmp_path, monkeypatch):
    for name in ("build_graph", "build_clusters"):
        monkeypatch.setattr(f"torchrec_ext.serving.faiss_index.{name}", None)  # nothing is built anew
    described = json.loads((bundle / "bundle.json").read_text())["index"]
    assert described["settings"]["kind"] == bundle.name
    assert described["recall"] == {"recall@10": 1.0, "recall@30": 1.0}
    with SqliteEventStore(tmp_path / "events.sqlite") as store:
        service = Service(bundle, store)
        index = service.live.index
        assert isinstance(index, FaissIndex) and index.kind == bundle.name
        assert index.recall == described["recall"]
        found = service.recommend(ListRequest(1, k=5)).items
        service.swap(bundle)
        assert service.recommend(ListRequest(1, k=5)).items == found
        assert service.live.index is not index


def test_serving_takes_the_index_of_the_bundle_unless_another_kind_is_asked_for(bundle):
    for kind in (None, bundle.name):
        assert open_with_index(bundle, kind)[1] is None
    assert isinstance(open_with_index(bundle, "exact")[1], ExactIndex)
    other = "ivf" if bundle.name == "hnsw" else "hnsw"
    assert open_with_index(bundle, other)[1].kind == other


def test_recall_is_that_of_users(tmp_path):
    """Whose queries are far from the items, unlike the items themselves."""
    trained = model("encoder gru")
    asked = trained.user_vectors(EVENTS, as_tensors=True)[1]
    own = FaissIndex("hnsw", trained.module.scorer, ef_search=1, neighbours=2, queries=asked)
    trained.build_index(index=own)
    settings = FaissIndex("hnsw", ef_search=1, neighbours=2)
    bundle = export(trained, tmp_path / "b", events=EVENTS, index=settings)
    assert bundle.stored_index is not None and bundle.stored_index.recall == own.recall


def changed(name, change):
    """Arrays with one changed in place."""

    def alter(arrays):
        arrays = {key: array.clone() for key, array in arrays.items()}
        change(arrays[name])
        return arrays

    return alter


def replaced(**others):
    return lambda arrays: {**arrays, **others}


def top_link_to_the_bottom(arrays):
    """A link of the layer above the bottom to an item that is in the bottom layer alone."""
    alone, above = arrays["levels"].argmin(), arrays["levels"].argmax()
    slots = torch.where(arrays["levels"] > 1, 4 + 2 * (arrays["levels"] - 1), 4)  # with two neighbours
    start = slots[:above].sum()
    links = arrays["neighbors"].clone()
    links[start + 4] = alone
    return {**arrays, "neighbors": links}


@pytest.mark.parametrize(
    ("kind", "alter", "message"),
    [
        (
            "hnsw",
            changed("neighbors", lambda a: a[3:4].fill_(2000)),
            "neighbour .* not one of the 2000 items",
        ),
        ("hnsw", changed("neighbors", lambda a: a[3:4].fill_(-2)), "neighbour .* not one of the 2000 items"),
        ("hnsw", top_link_to_the_bottom, "neighbour in layer 1 of the graph is not in that layer"),
        ("hnsw", changed("levels", lambda a: a[0:1].fill_(99)), "levels of the graph should be from 1 to"),
        ("hnsw", changed("levels", lambda a: a[0:1].fill_(0)), "levels of the graph should be from 1 to"),
        ("hnsw", changed("levels", lambda a: a.fill_(1)), "the graph holds .* links, expected 8000"),
        ("hnsw", changed("entry_point", lambda a: a.fill_(2000)), "entry_point 2000 is not an item"),
        ("hnsw", changed("entry_point", lambda a: a.fill_(-1)), "entry_point -1 is not an item"),
        (
            "hnsw",
            replaced(levels=torch.ones(7, dtype=torch.int32)),
            r"levels .* shape \(2000,\), received .*7",
        ),
        ("hnsw", replaced(levels=torch.ones(2000)), "levels of the graph should be int32"),
        ("hnsw", replaced(neighbors=torch.ones(9, dtype=torch.int32)), "holds 9 links, but 2000 items"),
        ("hnsw", lambda arrays: {}, "levels of the graph should be int32 .* received none"),
        ("ivf", changed("cluster", lambda a: a[5:6].fill_(30)), "in none of its 30 clusters"),
        ("ivf", changed("cluster", lambda a: a[5:6].fill_(-1)), "in none of its 30 clusters"),
        ("ivf", changed("centroids", lambda a: a[0].fill_(float("nan"))), "a centroid .* is not finite"),
        ("ivf", replaced(centroids=torch.ones(30, 4)), "centroids .* float32 and 17 wide"),
        ("ivf", replaced(cluster=torch.ones(7, dtype=torch.int32)), "one for each of 2000 items"),
        ("ivf", lambda arrays: {}, "centroids of the index should be"),
    ],
)
def test_arrays_that_are_not_of_these_items_are_refused(kind, alter, message):
    vectors, ids = catalogue()
    index = FaissIndex(kind, **WEAK[kind], arrays=alter(built(kind, vectors, ids).arrays))
    with pytest.raises(InputError, match=message) as refusal:
        index.build(vectors, ids)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"settings": {"kind": "hnsw"}, "recall": {}}, "cannot be read .KeyError: 'neighbours'"),
        ({"settings": [], "recall": {}}, "cannot be read"),
        (3, "cannot be read"),
    ],
)
def test_a_description_that_is_not_of_an_index_is_refused(index, message, bundle):
    with pytest.raises(InputError, match=message):
        read_index(bundle, {"index": index})


def test_a_file_that_is_not_of_arrays_is_refused(bundle, tmp_path):
    described = json.loads((bundle / "bundle.json").read_text())
    for content in (None, b"", b"not safetensors"):
        if content is not None:
            (tmp_path / "index.safetensors").write_bytes(content)
        with pytest.raises(InputError, match="the index of .* cannot be read .*; export the bundle again"):
            read_index(tmp_path, described)
    assert read_index(tmp_path, {}) is None


def test_a_model_without_an_index_is_refused(tmp_path):
    for name, message in (("tasks", "index needs a retriever"), ("scorer neumf", "NeuMF is not indexable")):
        with pytest.raises(InputError, match=message):
            export(model(name), tmp_path / "b", index=FaissIndex("ivf"))
    assert not any(tmp_path.iterdir())
