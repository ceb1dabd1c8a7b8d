"""The recipe explain: table, sentence, test and map, of a retriever and of a ranker."""

import pytest
from matplotlib.image import imread

import torchrec_ext as tx

COLUMNS = {"user": "uid", "item": "sku", "timestamp": "t", "rating": "stars"}


@pytest.fixture(scope="module")
def train(folder):
    """The training part of items with titles."""
    read = tx.data.read_events(folder / "events.csv", columns=COLUMNS, items=folder / "items.csv")
    return tx.data.leave_last_out(read)[0]


@pytest.fixture(scope="module")
def retriever(folder, train):
    """A run."""
    module = tx.models.TwoTower(train.schema, 8, "gru", max_length=10)
    tx.training.fit(module, train, epochs=1, output=folder / "retriever", progress=False)


def test_table_sentence_test_and_map(warm, folder, retriever):
    words = ("--checkpoint", "retriever", "--user", "u3", "--verb", "bought", "--rows", "3", "--test", "5")
    ended = warm.launch("explain", *words, "--output", "maps/map.png", "--colour", "kind", folder=folder)
    lines = ended.out[0].splitlines()
    assert lines[0].startswith("score of item i") and lines[0].endswith(tuple("0123456789"))
    assert lines[1].split() == ["kind", "name", "value", "title", "contribution"]
    assert [line.split()[0] for line in lines[2:5]] == ["event"] * 3 and "Item " in lines[2]
    assert lines[5].startswith(("Because you bought Item ", "Nothing that is known of you"))
    assert "5 pairs)" in ended.out[0] and "faithful to this model" in ended.out[0]
    assert imread(folder / "maps" / "map.png").shape[:2] == (900, 1200)


@pytest.mark.slow
def test_a_ranker_s_item_by_integrated_gradients_on_two_ranks(warm, folder, train):
    module = tx.models.Ranker(train.schema, 8, target_attention="din", max_length=10)
    tx.training.fit(module, train, epochs=1, positive=3.0, output=folder / "ranker", progress=False)
    words = ("--checkpoint", "ranker", "--user", "u3", "--item", "i7", "--method", "integrated_gradients")
    outputs = [warm.launch("explain", *words, folder=folder, processes=n).out[0] for n in (1, 2)]
    assert "score of item i7 for user u3: 0." in outputs[0] and "feature" in outputs[0]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--item", "none"), "none of the item ids in item is known"),
        (("--output", "events.csv"), "--output events.csv exists; add --overwrite"),
    ],
)
def test_what_cannot_be_is_one_line(warm, folder, retriever, words, message):
    words = ("--checkpoint", "retriever", "--user", "u3", *words)
    ended = warm.launch("explain", *words, folder=folder, succeeds=False)
    assert ended.status == 2 and ended.error.startswith("explain.py: ") and message in ended.error
