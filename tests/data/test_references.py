"""Features whose values are ids of users or of items look up the rows of their tables."""

import numpy as np
import pandas as pd
import pytest
import torch

from torchrec_ext.data import leave_last_out, open_prepared, prepare, read_events
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.features import Category
from torchrec_ext.errors import InputError
from torchrec_ext.models import TwoTower
from torchrec_ext.training import continue_training, fit

VISITS = pd.DataFrame(
    {"user": np.repeat(["ann", "bob", "cid"], 4), "item": list("abcdbcdadabc"), "timestamp": np.arange(12)}
)
USERS = pd.DataFrame({"user": ["ann", "cid"], "friends": [["cid", "bob", "zoe"], ["ann"]]})
ITEMS = pd.DataFrame({"item": ["a", "b"], "like": ["d", "a"]})
READ = {
    "users": USERS, "user_features": {"friends": {"kind": "category", "refers": "user"}},
    "items": ITEMS, "item_features": {"like": {"kind": "category", "refers": "item"}},
}  # fmt: skip


def rows_of(batch, key: str) -> list[list[int]]:
    return [row.tolist() for row in batch[key].to_dense()]


def test_ids_share_the_rows_of_their_table_and_strangers_are_unknown():
    train = leave_last_out(read_events(VISITS, **READ))[0]
    assert [table.name for table in train.schema.tables] == ["user", "item"]
    assert [train.schema.feature(name).table for name in ("user_friends", "item_like")] == ["user", "item"]
    model = TwoTower(train.schema, 4, query_fields=["user", "user_friends"], item_fields=["item_like"])
    (bags,) = model.embeddings.bags.embedding_bag_configs()
    assert (bags.name, bags.feature_names) == ("user", ["user", "user_friends"])
    batcher = Batcher(train.preparation, train.events, model.inputs)
    users = np.arange(3)
    batch = batcher.queries(users, train.events.offsets[users + 1])
    assert rows_of(batch.fields, "user_friends") == [[3, 2, 0], [0], [1]]
    # a to d are the items 1 to 4, of which training has learnt from all
    assert rows_of(batcher.items(np.array([1, 2, 3])).sequences, "candidates_item_like") == [[4, 1, 0]]


def test_an_id_that_training_has_not_learnt_from_is_unknown():
    later = pd.DataFrame({"user": ["bob"] * 4 + ["dan"], "item": list("abcd") + ["a"], "timestamp": range(5)})
    users = pd.DataFrame({"user": ["bob"], "friends": [["dan", "bob"]]})
    train = leave_last_out(read_events(later, users=users, user_features=READ["user_features"]))[0]
    known = train.preparation.trained.known("user", np.array([1, 2]))
    batcher = Batcher(
        train.preparation, train.events, TwoTower(train.schema, 4, query_fields=["user_friends"]).inputs
    )
    batch = batcher.queries(np.array([0]), train.events.offsets[[1]])
    assert rows_of(batch.fields, "user_friends") == [[2 if known[1] else 0, 1]]


def test_it_is_kept_in_a_folder_and_learns_from_later_events(tmp_path):
    prepare(VISITS, tmp_path / "visits", read=READ)
    train = open_prepared(tmp_path / "visits")[0]
    fitted = train.preparation.fitted["user_friends"]
    assert fitted.vocabulary is train.preparation.vocabularies["user"]
    torch.manual_seed(0)
    model = TwoTower(train.schema, 4, query_fields=["user", "user_friends"])
    trained = fit(model, train, epochs=1, output=tmp_path / "run", progress=False)
    more = pd.DataFrame({"user": ["eve"] * 4, "item": list("abcd"), "timestamp": 20 + np.arange(4)})
    users = pd.DataFrame({"user": ["eve"], "friends": [["bob", "eve"]]})
    later = read_events(more, **{**READ, "users": users})
    grown = continue_training(trained, later, progress=False).preparation
    assert grown.schema.table("user").rows == 5
    assert grown.sides["user"].ids("user_friends", np.array([1, 4]))[0].tolist() == [3, 2, 0, 2, 4]
    with pytest.raises(InputError, match="user_friends refers to the old ones"):
        known = read_events(VISITS, **READ)
        continue_training(trained, later, known, evict_after="1 day", progress=False)


@pytest.mark.parametrize(
    "wrong", [{"hash": 10}, {"min_count": 2}, {"missing": "most_frequent"}, {"refers": "shop"}]
)
def test_options_that_do_not_go_with_it_are_refused(wrong):
    with pytest.raises(InputError, match="refers"):
        Category(**{"refers": "user", **wrong})
