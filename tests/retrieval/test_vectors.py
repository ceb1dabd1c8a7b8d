"""item_vectors(), user_vectors() and similar_items() against the module itself."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

from tests.retrieval.trained import EVENTS, TRAIN, trained
from tests.worlds import small_world
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.errors import InputError
from torchrec_ext.models import TwoTower
from torchrec_ext.retrieval import recommend
from torchrec_ext.training import Optimization, fit

LOG = TRAIN.preparation.log(EVENTS)
ITEMS = TRAIN.preparation.vocabularies["item"].index
RETRIEVERS = ["history", "cosine", "context", "user", "interests", "no index", "events", "times"]


def of_items(model) -> torch.Tensor:
    with torch.no_grad():
        return model.module.eval().encode_items(
            Batcher(TRAIN.preparation, LOG, model.inputs).items(np.arange(1, 31))
        )


def of_users(model, context=None) -> torch.Tensor:
    batcher = Batcher(TRAIN.preparation, LOG, model.inputs)
    with torch.no_grad():
        return model.module.eval().encode_queries(batcher.queries(np.arange(60), LOG.offsets[1:], context))


@pytest.mark.parametrize("name", RETRIEVERS)
def test_vectors_of_items_are_the_modules(name):
    model = trained(name)
    ids, vectors = model.item_vectors(as_tensors=True)
    assert ids.tolist() == ITEMS.tolist() and vectors.dtype == torch.float32
    torch.testing.assert_close(vectors, of_items(model))
    frame = model.item_vectors()
    assert frame.columns.tolist() == ["item", *(f"dim_{d}" for d in range(8))]
    np.testing.assert_array_equal(frame["item"], ids)
    np.testing.assert_array_equal(frame.drop(columns="item"), vectors)


@pytest.mark.parametrize("name", RETRIEVERS)
def test_vectors_of_users_are_the_modules(name):
    model = trained(name)
    ids, vectors = model.user_vectors(EVENTS, as_tensors=True)
    assert ids.tolist() == LOG.user_ids.tolist()
    torch.testing.assert_close(vectors, of_users(model))
    if name != "interests":
        frame = model.user_vectors(EVENTS, [7, 3])
        assert frame["user"].tolist() == [7, 3]
        np.testing.assert_allclose(frame.drop(columns="user"), vectors[[6, 2]], atol=1e-6)


def test_several_interests_have_a_row_each():
    _, vectors = trained("interests").user_vectors(EVENTS, [4, 9], as_tensors=True)
    assert vectors.shape == (2, 3, 8)
    frame = trained("interests").user_vectors(EVENTS, [4, 9])
    assert frame["user"].tolist() == [4] * 3 + [9] * 3 and frame["interest"].tolist() == [0, 1, 2] * 2
    np.testing.assert_allclose(frame[[f"dim_{d}" for d in range(8)]], vectors.flatten(0, 1))


def test_the_order_of_ids_is_kept_and_unknown_ones_are_left_out():
    model = trained("history")
    with pytest.warns(UserWarning, match="unknown item ids in items: 1 of 4, such as 'x'; they are left out"):
        frame = model.item_vectors(["130", 101, "x", "101"])
    assert frame["item"].tolist() == [130, 101, 101]
    with pytest.warns(UserWarning, match="knows nothing of 1 of the 3 users, such as 'x'; they are left out"):
        assert model.user_vectors(EVENTS, ["9", "x", 2])["user"].tolist() == [9, 2]


def test_a_user_is_a_vector_in_the_moment():
    model = trained("context")
    columns = {f.name: f for f in model.preparation.schema.of("context")}
    one = {"device": "phone", "hour": 8.0}
    values = {
        name: model.preparation.context(f, pd.Series([one[f.column]] * 60)) for name, f in columns.items()
    }
    _, vectors = model.user_vectors(EVENTS, context=one, as_tensors=True)
    torch.testing.assert_close(vectors, of_users(model, values))
    assert not torch.allclose(vectors, of_users(model))


@pytest.mark.parametrize("name", ["history", "cosine", "interests"])
def test_similar_items_have_the_highest_cosine(name):
    model = trained(name)
    vectors = normalize(of_items(model), dim=-1)
    cosines = vectors @ vectors.T
    found = model.similar_items(["110", 101], k=29)
    assert found.columns.tolist() == ["item", "similar", "score", "rank"]
    for item, own in found.groupby("item"):
        place = ITEMS.get_loc(item)
        order = sorted(set(range(30)) - {place}, key=lambda i, place=place: (-cosines[place, i].item(), i))
        assert own["similar"].tolist() == ITEMS[order].tolist(), "itself is not among them"
        np.testing.assert_allclose(own["score"], cosines[place, order], atol=1e-5)
        assert own["rank"].tolist() == list(range(1, 30))
    assert found["item"].tolist() == [110] * 29 + [101] * 29
    pd.testing.assert_frame_equal(model.similar_items(110, k=3), found.head(3))


def test_ids_of_another_kind_are_explained():
    events = small_world(strings=True)
    from_strings = trained("history")
    with pytest.raises(InputError, match="strings, such as 'i101', but the catalogue has integers, such as"):
        from_strings.item_vectors(events.items["item"])


def test_items_that_training_has_not_learnt_from_have_no_vector():
    visits = pd.DataFrame({"user": np.repeat(np.arange(20), 5), "item": np.tile(np.arange(5), 20)})
    visits.loc[visits.index % 5 == 4, "item"] = 77  # each user's last item, which is for the test
    train, _, _ = leave_last_out(events := read_events(visits))
    optimization = Optimization(global_batch_size=64)
    model = fit(TwoTower(train.schema, 8), train, epochs=1, progress=False, optimization=optimization)
    learnt = {0, 1, 2}
    assert set(model.item_vectors()["item"]) == learnt == set(model.similar_items(1, k=2)["similar"]) | {1}
    with pytest.warns(UserWarning, match="unknown item ids in items: 1 of 2, such as 77"):
        assert model.item_vectors([77, 2])["item"].tolist() == [2]
    index = model.build_index()
    assert len(index) == 3
    lists = recommend(model, events, [3, "x"], 3, index=index, exclude_seen=False)
    assert set(lists["item"]) == learnt


CALLS = {
    "item_vectors": lambda m: m.item_vectors(),
    "user_vectors": lambda m: m.user_vectors(EVENTS),
    "similar_items": lambda m: m.similar_items(101),
    "build_index": lambda m: m.build_index(),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_ranker_has_no_vectors(name):
    with pytest.raises(
        InputError, match=f"{name} needs a retriever .*Ranker: a ranker scores pairs and has no"
    ):
        CALLS[name](trained("ranker"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.item_vectors(["a", "b"]), "none of the item ids in items is known; they are strings"),
        (lambda m: m.item_vectors([5]), r"not learnt from 5; the ids that it knows look like \d+"),
        (lambda m: m.item_vectors("a"), "items should be a list of ids, received 'a'; put it in a list"),
        (lambda m: m.similar_items("a"), "none of the item ids in items is known; they are str"),
        (lambda m: m.similar_items(101, k=30), "from 1 to the number of other items, 29; received 30"),
        (lambda m: m.build_index([7]), "in items is known; the model has not learnt from 7"),
        (lambda m: m.user_vectors(EVENTS, ["x"]), "knows nothing of any of the 1 users, such as 'x'"),
        (lambda m: m.user_vectors(TRAIN), "data should be Events, received Dataset"),
        (lambda m: m.user_vectors(EVENTS, context={"device": "phone"}), "context is given, but"),
    ],
)  # fmt: skip
def test_what_has_no_vector_is_explained(call, message):
    with pytest.raises(InputError, match=message):
        call(trained("history"))
