import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.worlds import small_world
from torchrec_ext import plugins
from torchrec_ext.contracts import SequenceEncoder
from torchrec_ext.data import Dataset, leave_last_out
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.encoders import GRU, MeanPool
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.interactions import DotInteraction
from torchrec_ext.models import TwoTower
from torchrec_ext.scorers import CosineScorer
from torchrec_ext.training import Optimization, fit


class Newest(SequenceEncoder):
    """The sum of all events at every position, so it is not causal."""

    causal = False

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = self.out_dim = dim

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        return events_BTD.sum(1, keepdim=True).expand_as(events_BTD)


class Clock(SequenceEncoder):
    """The time of each event in days since the first, in every column."""

    causal = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = self.out_dim = dim

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        assert times_BT is not None and times_BT.dtype == torch.float64
        days_BT = (times_BT - times_BT[:, :1]) / 86_400
        return days_BT.float()[..., None].expand_as(events_BTD)


@pytest.fixture(scope="module")
def train() -> Dataset:
    return leave_last_out(small_world())[0]


def ready(model: TwoTower, seed: int = 0) -> TwoTower:
    """Sharded, with tables drawn."""
    shard(model)
    initialise_tables(model, seed)
    return model.eval()


def test_without_an_encoder_the_users_vector_is_the_query(train):
    model = ready(TwoTower(train.schema, dim=6))
    assert model.inputs.fields == ("user",) and not model.inputs.every_position
    batch = Batcher(train.preparation, train.events, model.inputs).queries(np.array([3, 0]), np.array([0, 0]))
    table = model.embeddings.state_dict()["bags.embedding_bags.user.weight"].local_shards()[0].tensor
    torch.testing.assert_close(model.encode_queries(batch), table[train.events.user_rows[[3, 0]], :6])
    items = Batcher(train.preparation, train.events, model.inputs).items(np.array([5, 2, 9]))
    table = model.embeddings.state_dict()["events.embeddings.item.weight"].local_shards()[0].tensor
    torch.testing.assert_close(model.encode_items(items), table[[5, 2, 9], :6])
    assert not list(model.query_tower.parameters()) and not list(model.item_tower.parameters())


def test_every_kind_of_field_changes_the_query(train):
    fields = ("user", "user_gender", "user_age")
    model = ready(TwoTower(train.schema, 8, GRU(8, hidden=12), fields))
    assert model.inputs.fields == ("user", "user_gender") and model.inputs.dense == ("user_age",)
    assert model.inputs.every_position
    batch = Batcher(train.preparation, train.events, model.inputs).queries(
        np.array([3, 0]), train.events.offsets[[4, 1]]
    )
    query = model.encode_queries(batch)
    assert query.shape == (2, 8)
    for change in ("fields", "sequences"):
        keyed = getattr(batch, change)
        values = keyed.values().clone()
        values[0] = 1 if values[0] != 1 else 2
        other = type(keyed)(keyed.keys(), values, lengths=keyed.lengths(), stride=2)
        changed = model.encode_queries(type(batch)(**{**vars(batch), change: other}))
        assert not torch.allclose(changed[0], query[0]) and torch.allclose(changed[1], query[1])
    older = model.encode_queries(type(batch)(**{**vars(batch), "dense": batch.dense + 1}))
    assert not torch.isclose(older, query).any()


def test_side_features_of_the_items_are_averaged_and_mixed(train):
    model = ready(TwoTower(train.schema, 4, item_fields=("item_genres", "item_price")))
    assert model.inputs.candidate_fields == ("item_genres",)
    assert model.inputs.candidate_dense == ("item_price",)
    rows = np.arange(1, 31)
    batch = Batcher(train.preparation, train.events, model.inputs).items(rows)
    lengths = batch.candidate_lengths["item_genres"]
    assert set(lengths.tolist()) == {1, 2}
    _, sequences = model.embeddings(batch)
    genres = torch.stack([
        part.mean(0) for part in sequences["candidates_item_genres"].values().split(lengths.tolist())
    ])  # fmt: skip
    parts = [sequences["candidates"].values(), genres, batch.candidate_dense]
    torch.testing.assert_close(model.encode_items(batch), model.item_tower.mix(torch.cat(parts, 1)))


def test_the_context_makes_each_target_an_example(train):
    model = TwoTower(train.schema, 8, "gru", ("context_device", "context_hour"))
    assert not model.inputs.every_position
    assert TwoTower(train.schema, 8, "gru", ("user",)).inputs.every_position


def test_an_encoder_is_a_name_a_class_an_instance_or_bound(train):
    for given in ("gru", GRU, GRU(8), plugins.bind("encoders", "gru", layers=1)):
        encoder = TwoTower(train.schema, 8, given).encoder
        assert isinstance(encoder, GRU) and encoder.dim == 8
    assert TwoTower(train.schema, 8, "mean_pool").inputs.every_position
    assert not TwoTower(train.schema, 8, Newest).inputs.every_position


def test_it_is_described_by_what_it_was_given(train):
    model = TwoTower(train.schema, 8, GRU(8, hidden=5), ["user"], ["item_price"], 7, CosineScorer(8, 0.5))
    description = plugins.specification(model, without=("schema",))
    again = plugins.rebuild(description, schema=train.schema)
    assert plugins.specification(again, without=("schema",)) == description
    assert again.inputs == model.inputs and again.encoder.hidden == 5 and again.scorer.temperature == 0.5


def test_times_reach_the_encoder(train):
    model = ready(TwoTower(train.schema, 4, Clock))
    log = train.events
    batch = Batcher(train.preparation, log, model.inputs).queries(np.array([5]), log.offsets[[6]])
    times = log.times[log.offsets[5] : log.offsets[6]]
    days = (times[-1] - times[0]) / 86_400
    assert days > 1
    torch.testing.assert_close(model.encode_queries(batch), torch.full((1, 4), days, dtype=torch.float32))


@pytest.mark.parametrize("encoder", [GRU(8, dropout=0.0), MeanPool(8)], ids=["gru", "mean_pool"])
def test_every_position_is_the_newest_state_of_its_prefix(train, encoder):
    """The N rows of one pass are those of N batches of one prefix each."""
    model = ready(TwoTower(train.schema, 8, encoder, ("user", "user_age"), max_length=50))
    drawn = Candidates("catalogue", np.ones(30))
    rng = np.random.default_rng(0)
    at_once = NextEvents(train, model.inputs, drawn).batch(np.arange(60), 1.0, rng)
    fields_BFD, sequences = model.embeddings(at_once)
    queries_ND = model.query_tower(fields_BFD, sequences, at_once, per_event_labels=True)
    prefixes = LastEvents(train, model.inputs, drawn)
    has_history = prefixes.sizes() > 0
    one_each = prefixes.batch(np.flatnonzero(has_history), 1.0, rng)
    torch.testing.assert_close(queries_ND, model.encode_queries(one_each))
    assert torch.equal(at_once.labels, one_each.labels)


@pytest.mark.parametrize(
    ("encoder", "query_fields", "item_fields", "scorer"),
    [
        (None, (), (), None),
        (None, ("user", "user_gender", "user_age"), ("item_genres", "item_price"), None),
        (GRU(16, dropout=0.0), (), (), "cosine"),
        (GRU(16, dropout=0.0), ("context_device", "context_hour"), (), None),
        (MeanPool(16), ("user_age",), ("item_genres",), None),
        (Newest(16), (), (), None),
    ],
)  # fmt: skip
def test_it_learns(train, encoder, query_fields, item_fields, scorer):
    """In the same few epochs everything falls well below the loss of a guess."""
    torch.manual_seed(0)
    model = TwoTower(train.schema, 16, encoder, query_fields, item_fields, scorer=scorer)
    losses: list[float] = []
    fit(
        model,
        train,
        epochs=8,
        progress=False,
        on_step=lambda step, loss: losses.append(loss),
        optimization=Optimization(
            global_batch_size=32 if model.inputs.every_position else 128,
            table_learning_rate=0.2,
            learning_rate=0.01,
        ),
    )
    assert losses[0] > 0.8 * np.log(30)
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])


def test_a_model_that_reads_the_context_is_evaluated_with_that_of_the_target():
    train, valid, _ = leave_last_out(small_world())
    model = TwoTower(train.schema, 8, GRU(8), ("context_device",))
    trained = fit(model, train, epochs=1, progress=False)
    report = evaluate(trained, train, valid, k=(30,))
    before = report["mrr"]
    tower = model.query_tower.project
    with torch.no_grad():  # let the device alone decide: two orders of the items
        tower.weight[:, : model.encoder.out_dim] = 0.0
    devices = valid.events.context["context_device"]
    assert set(devices) == {1, 2}
    assert evaluate(trained, train, valid, k=(30,))["mrr"] != before
    first = Batcher(train.preparation, train.events, model.inputs)
    queries = model.encode_queries(
        first.queries(np.arange(60), train.events.offsets[1:], {"context_device": devices})
    )
    assert len(queries.unique(dim=0)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query_fields": ("age",)}, "'age', which is not a feature of user or context; there are user,"),
        ({"query_fields": ("item_genres",)}, "query_fields names 'item_genres'"),
        ({"item_fields": ("user_age",)}, "'user_age', .* there are item, item_genres, item_price"),
        ({"encoder": GRU(16)}, "the GRU was built with dim=16, but the model needs dim=8"),
        ({"encoder": "grus"}, "no encoders named 'grus', did you mean 'gru'"),
        ({"encoder": nn.Linear(8, 8)}, r"Linear is not a contracts\.SequenceEncoder"),
        ({"encoder": DotInteraction}, "DotInteraction needs num_fields"),
        ({"scorer": "dott"}, "no scorers named 'dott', did you mean 'dot'"),
        ({"dim": 0}, "dim should be at least 1, received 0"),
        ({"encoder": "gru", "max_length": 0}, "max_length should be at least 1, received 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_explained(train, arguments, message):
    with pytest.raises(InputError, match=message):
        TwoTower(train.schema, **{"dim": 8, **arguments})


@pytest.mark.parametrize("argument", ["query_fields", "item_fields", "history_fields"])
def test_one_name_in_place_of_a_list_is_one_line(train, argument):
    with pytest.raises(InputError, match=f"{argument} should be a list of names, received 'user'; pass "):
        TwoTower(train.schema, 8, "gru", **{argument: "user"})


def test_a_part_is_not_a_schema(train):
    with pytest.raises(InputError, match="schema should be a Schema, received Dataset; pass train.schema"):
        TwoTower(train)
