"""Fields of several ids, such as the words of a title, that an encoder reads in their order."""

import pandas as pd
import pytest
import torch

import torchrec_ext as tx
from torchrec_ext.embeddings.pooler import Pooler
from torchrec_ext.encoders import TextCNN
from torchrec_ext.errors import InputError
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.serving import ListRequest, NewItem, Service, SqliteEventStore, export

TITLES = ["red ship", "ship red", "ship", "blue red ship", "blue", "blue ship"]
CNN = {"filters": 4, "heights": (1, 2), "dropout": 0.0}
KINDS = ("retriever", "ranker")


@pytest.fixture(scope="module")
def events():
    seen = [(user, (user * 5 + step) % 6, 5 * (step % 2)) for user in range(12) for step in range(5)]
    titles = pd.DataFrame({"item": range(6), "words": [title.split() for title in TITLES]})
    return tx.data.read_events(pd.DataFrame(seen, columns=["user", "item", "rating"]), items=titles)


def trained_on(events, kind, encoder, output=None):
    train, valid, test = tx.data.leave_last_out(events)
    torch.manual_seed(0)
    poolers = {"item_words": encoder} if encoder else None
    if kind == "ranker":
        model = Ranker(train.schema, 8, ("user", "item_words"), "concat", over_arch=(), poolers=poolers)
    else:
        model = TwoTower(train.schema, 8, "mean_pool", item_fields=("item_words",), poolers=poolers)
    return tx.training.fit(model, train, epochs=1, output=output, progress=False)


def table_of(trained, name):
    """The (R, D) weights of a table, to be changed; they begin small."""
    states = trained.module.embeddings.state_dict()
    return next(v for key, v in states.items() if key.endswith(f".{name}.weight")).local_shards()[0].tensor


def test_a_filter_over_two_words_is_that_computed_by_hand():
    encoder = TextCNN(1, filters=2, heights=(2,), dropout=0.0)
    pooler = Pooler(encoder, 1)
    with torch.no_grad():
        encoder.convolutions[0].weight.copy_(torch.tensor([[2.0, 1.0], [0.0, -1.0]]))
        encoder.convolutions[0].bias.copy_(torch.tensor([0.5, 2.0]))
        pooler.project.weight.copy_(torch.tensor([[1.0, 10.0]]))
    # 1 3: the largest of 0 + 1 + 0.5 and 2 + 3 + 0.5, of 2 - 1 and 2 - 3; 3 1: of 3.5 and 7.5, of 0 and 1
    words, lengths = torch.tensor([[[1.0], [3.0]], [[0.0], [0.0]], [[3.0], [1.0]]]), torch.tensor([2, 0, 2])
    assert pooler(words, lengths).tolist() == [[15.5], [0.0], [17.5]]
    assert pooler(words[:0], lengths[:0]).shape == (0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_words_counts_for_text_cnn_alone(events, kind):
    def difference(encoder):
        trained = trained_on(events, kind, encoder)
        table_of(trained, "item_words").normal_()
        if kind == "ranker":
            pairs = pd.DataFrame({"user": 0, "item": [0, 1]})
            return abs(tx.retrieval.predict(trained, events, pairs)["score"].diff()[1])
        table_of(trained, "item").zero_()
        return trained.item_vectors([0, 1], as_tensors=True)[1].diff(dim=0).abs().max()

    assert difference(None) < 1e-6 and difference("mean_pool") < 1e-6
    assert difference(lambda dim: TextCNN(dim, **CNN)) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_and_a_bundle_give_the_same_lists(events, kind, tmp_path):
    trained = trained_on(events, kind, lambda dim: TextCNN(dim, **CNN), tmp_path / "run")
    opened = tx.training.load(tmp_path / "run")
    assert opened.module.poolers["item_words"].heights == (1, 2)
    bundle = export(opened, tmp_path / "bundle", events=events)
    for again in (opened, bundle.model):
        pd.testing.assert_frame_equal(
            tx.retrieval.recommend(again, events, [0, 1], k=3, exclude_seen=False),
            tx.retrieval.recommend(trained, events, [0, 1], k=3, exclude_seen=False),
        )


def test_an_added_item_is_known_by_its_words_in_their_order(events, tmp_path):
    trained = trained_on(events, "retriever", lambda dim: TextCNN(dim, **CNN))
    for table in ("item", "item_words"):
        table_of(trained, table).normal_()
    bundle = export(trained, tmp_path / "bundle", events=events)
    with SqliteEventStore(tmp_path / "events.sqlite") as store:
        service = Service(bundle, store)
        service.add_items([NewItem(100 + n, {"words": title.split()}) for n, title in enumerate(TITLES[:2])])
        found = service.recommend(ListRequest(session=[0, 2], k=8, exclude_seen=False))
    scores = dict(zip(found.items, found.scores, strict=True))
    assert abs(scores[100] - scores[101]) > 1e-4


def test_the_mean_of_a_pooler_is_that_of_the_table(events):
    means = [trained_on(events, "ranker", encoder) for encoder in (None, "mean_pool")]
    pairs = pd.DataFrame({"user": 0, "item": range(6)})
    scores = [tx.retrieval.predict(trained, events, pairs)["score"].to_numpy() for trained in means]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_poolers_are_refused_where_there_is_nothing_to_pool(events):
    schema = tx.data.leave_last_out(events)[0].schema
    with pytest.raises(InputError, match="names 'item_wrods', .* with several ids; there are item_words$"):
        Ranker(schema, 4, poolers={"item_wrods": "text_cnn"})
    with pytest.raises(InputError, match="names 'item_words', .* query_fields or item_fields .* are none"):
        TwoTower(schema, 4, poolers={"item_words": "text_cnn"})
    with pytest.raises(InputError, match="a ComiRec, whose result is several interests"):
        Ranker(schema, 4, poolers={"item_words": "comirec"})
