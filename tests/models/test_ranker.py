import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests.models.attention import SoftAttention, WideAttention
from tests.worlds import small_world
from torchrec_ext import plugins
from torchrec_ext.batch import Batch
from torchrec_ext.data import Dataset, by_ratio, leave_last_out, read_events
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.evaluation.baselines import popularity
from torchrec_ext.interactions import ConcatInteraction, ConvolutionInteraction, DotInteraction
from torchrec_ext.models import Ranker
from torchrec_ext.training import EarlyStopping, Optimization, fit


@pytest.fixture(scope="module")
def parts() -> tuple[Dataset, Dataset, Dataset]:
    return leave_last_out(small_world())


def ready(model: Ranker) -> Ranker:
    shard(model)
    initialise_tables(model, 0)
    return model.eval()


def pairs_of(model: Ranker, train: Dataset, users: list[int], items: list[int]) -> Batch:
    log = train.events
    batcher = Batcher(train.preparation, log, model.inputs)
    return batcher.pairs(np.array(users), log.offsets[np.array(users) + 1], np.array(items))


def table(model: Ranker, key: str) -> torch.Tensor:
    return model.embeddings.state_dict()[key].local_shards()[0].tensor


def test_the_worked_case_is_a_dot_product(parts):
    train = parts[0]
    model = ready(Ranker(train.schema, 50, ("user", "item"), "dot", over_arch=None, first_order=False))
    assert not any("first_order" in key for key in model.state_dict()) and model.arch.bias is None
    user = table(model, "bags.embedding_bags.user.weight")[train.events.user_rows[[4, 5]], :50]
    item = table(model, "bags.embedding_bags.item.weight")[[7, 9], :50]
    logits = model(pairs_of(model, train, [4, 5], [7, 9]))
    torch.testing.assert_close(logits, (user * item).sum(1, keepdim=True))


def test_the_first_order_term_by_hand(parts):
    """The dot product, a weight of the user, one of the item, one a number, and a bias."""
    train = parts[0]
    fields = ("user", "item", "user_age", "item_price")
    model = ready(Ranker(train.schema, 8, fields, ConcatInteraction, over_arch=(), tasks=2))
    batch = pairs_of(model, train, [4, 5], [7, 9])
    without = Ranker(train.schema, 8, fields, ConcatInteraction, over_arch=(), tasks=2, first_order=False)
    ready(without)
    without.arch.load_state_dict(model.arch.state_dict(), strict=False)
    torch.testing.assert_close(model(batch), without(batch))  # zero at first

    with torch.no_grad():
        for name in ("user", "item"):
            state = model.id_weights.state_dict()[f"fields.embedding_bags.{name}_first_order.weight"]
            weights = state.local_shards()[0].tensor
            weights[:, :2] = torch.arange(len(weights))[:, None] * torch.tensor([1.0, 10.0])
        model.arch.linear.weight.copy_(torch.tensor([[2.0, 3.0], [20.0, 30.0]]))
        model.arch.bias.copy_(torch.tensor([0.5, 0.25]))
    ids = torch.tensor(
        [[row + item] for row, item in zip(train.events.user_rows[[4, 5]], (7, 9), strict=True)]
    )
    numbers = batch.dense @ torch.tensor([[2.0, 20.0], [3.0, 30.0]])
    first_order = ids * torch.tensor([1.0, 10.0]) + numbers + torch.tensor([0.5, 0.25])
    torch.testing.assert_close(model(batch), without(batch) + first_order, rtol=1e-5, atol=1e-3)


def test_a_shallow_field_adds_the_weight_of_its_id_alone(parts):
    train, fields = parts[0], ("user", "item", "context_device")
    deep = ready(Ranker(train.schema, 8, fields[:2], "dot", over_arch=()))
    model = ready(Ranker(train.schema, 8, fields, "dot", over_arch=(), shallow=("context_device",)))
    assert "context_device" not in model.embeddings.field_names
    model.arch.load_state_dict(deep.arch.state_dict())
    log = train.events
    batcher = Batcher(train.preparation, log, model.inputs)
    users, items = np.array([4, 5, 6]), np.array([7, 9, 8])

    def batch(rows: list[int]) -> Batch:
        return batcher.pairs(users, log.offsets[users + 1], items, {"context_device": np.array(rows)})

    key = "fields.embedding_bags.context_device_first_order.weight"
    with torch.no_grad():
        weights = model.id_weights.state_dict()[key].local_shards()[0].tensor
        weights[:, 0] = torch.arange(len(weights))
    crossed = deep(pairs_of(deep, train, users, items))
    torch.testing.assert_close(model(batch([1, 2, 2])), crossed + torch.tensor([[1.0], [2.0], [2.0]]))
    torch.testing.assert_close(model(batch([0, 0, 0])), crossed)  # unknown: the order is that of the others


def test_what_cannot_be_shallow_is_refused(parts):
    schema, fields = parts[0].schema, ("user", "item", "user_age")
    for wrong, first_order in (("item", True), ("user_age", True), ("context_device", True), ("user", False)):
        with pytest.raises(InputError, match=f"shallow names '{wrong}', .* choose from"):
            Ranker(schema, 8, fields, shallow=(wrong,), first_order=first_order)
    with pytest.raises(InputError, match="fields is empty"):
        Ranker(schema, 8, ("user",), shallow=("user",))


def test_a_term_that_would_break_the_products_of_a_head_is_refused(parts):
    with pytest.raises(InputError, match="logits of ESMMHead .* pass first_order=False"):
        Ranker(parts[0].schema, 8, head="esmm", tasks=2)
    model = ready(Ranker(parts[0].schema, 8, head="esmm", tasks=2, first_order=False))
    logits = model(pairs_of(model, parts[0], [4, 5], [7, 9]))
    assert (logits[:, 1] < logits[:, 0]).all()


@pytest.fixture(scope="module")
def rated() -> tuple[Dataset, Dataset, Dataset]:
    """Ratings by users who like more or fewer items, of items that are liked by more or fewer users."""
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 300, 12_000), rng.integers(0, 100, 12_000)
    logits = rng.normal(0, 1, 300)[user] + rng.normal(0, 1, 100)[item]
    liked = rng.random(12_000) < 1 / (1 + np.exp(-logits))
    frame = pd.DataFrame({"user": user, "item": item, "rating": np.where(liked, 5, 1)})
    return by_ratio(read_events(frame), valid=0.1, test=0.2)


# Those of well-known models, which test_assembled trains in any case, and others that take seconds.
LONG = {"bi_interaction", "ccpm", "cin", "fibinet", "final_mlp", "gated_cross_network", "masknet", "wukong"}


@pytest.mark.parametrize(
    "interaction",
    [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in plugins.names("interactions")],
)
def test_no_interaction_ranks_worse_than_popularity(rated, interaction):
    """At its defaults. Without the first-order term two fields with a dot product do: they overfit."""
    train, valid, test = rated
    torch.manual_seed(0)
    model = Ranker(train.schema, 32, interaction=interaction)
    trained = fit(
        model,
        train,
        valid,
        epochs=5,
        progress=False,
        optimization=Optimization(global_batch_size=256),
        early_stopping=EarlyStopping(patience=2),
    )
    auc, popular = (figures(trained, train + valid, test)["auc"] for figures in (evaluate, popularity))
    assert auc > popular


def test_all_numbers_together_are_one_field_more(parts):
    model = Ranker(parts[0].schema, 8, interaction="concat")
    assert model.inputs.fields == ("user", "item", "context_device", "user_gender", "item_genres")
    assert model.inputs.dense == ("context_hour", "user_age", "item_price")
    assert model.interaction.num_fields == 6
    only_numbers = ready(Ranker(parts[0].schema, 8, ("user_age", "item_price"), "concat"))
    assert only_numbers.interaction.num_fields == 1 and only_numbers.inputs.fields == ()
    batch = pairs_of(only_numbers, parts[0], [1, 2], [3, 4])
    assert only_numbers(batch).shape == (2, 1)


@pytest.mark.parametrize("attention", [SoftAttention, WideAttention])
def test_target_attention_adds_the_item_and_the_interest(parts, attention):
    train = parts[0]
    model = ready(Ranker(train.schema, 8, ("user", "item"), "concat", attention, over_arch=(), max_length=3))
    assert model.inputs.fields == ("user",) and model.inputs.candidates and model.inputs.max_length == 3
    assert model.interaction.num_fields == 3
    batch = pairs_of(model, train, [4, 5], [7, 9])
    items = table(model, "events.embeddings.item.weight")
    newest = [
        train.events.items[train.events.offsets[u + 1] - 3 : train.events.offsets[u + 1]] for u in (4, 5)
    ]
    interest = model.target_attention(items[[7, 9]], items[np.stack(newest)], torch.tensor([3, 3]))
    user = table(model, "bags.embedding_bags.user.weight")[train.events.user_rows[[4, 5]]]
    fields = torch.stack([user, items[[7, 9]], model.arch.project(interest)], 1)
    torch.testing.assert_close(model(batch), model.arch.head(model.interaction(fields)))


def test_over_arch_is_none_linear_layers_or_a_module(parts):
    schema = parts[0].schema
    linear = Ranker(schema, 8, interaction="concat", over_arch=())
    assert [tuple(p.shape) for p in linear.arch.head.parameters()] == [(1, 48), (1,)]
    deep = Ranker(schema, 8, interaction="concat", over_arch=[20, 10])
    assert [tuple(p.shape) for p in deep.arch.over.parameters()] == [(20, 48), (20,), (10, 20), (10,)]
    assert deep.over_arch == (20, 10) and linear.over_arch == ()
    own = nn.Linear(48, 5)
    own.out_dim = 5
    given = Ranker(schema, 8, interaction="concat", over_arch=own, tasks=2)
    assert given.over_arch is own
    assert [tuple(p.shape) for p in given.arch.head.parameters()] == [(2, 5), (2,)]
    assert not any("over_arch" in name for name, _ in given.named_parameters())


def test_several_tasks_are_several_logits(parts):
    model = ready(Ranker(parts[0].schema, 8, tasks=3))
    assert model(pairs_of(model, parts[0], [1, 2], [3, 4])).shape == (2, 3)


def test_it_is_described_by_what_it_was_given(parts):
    schema = parts[0].schema
    interaction = ConvolutionInteraction(4, 8, filters=5)
    model = Ranker(schema, 8, ("user", "user_age"), interaction, SoftAttention(8, 2.0), (6,), 2, 9)
    description = plugins.specification(model, without=("schema",))
    again = plugins.rebuild(description, schema=schema)
    assert plugins.specification(again, without=("schema",)) == description
    assert again.inputs == model.inputs and again.interaction.filters == 5 and again.over_arch == (6,)
    assert again.target_attention.sharpness == 2.0
    assert (
        plugins.specification(Ranker(schema, 8, over_arch=None, interaction=nn_only()), without=("schema",))
        is None
    )


def nn_only() -> ConcatInteraction:
    """An interaction that is one logit and cannot be described in JSON."""

    class Local(ConcatInteraction):
        def __init__(self) -> None:
            super().__init__(6, 8)
            self.out_dim = 1

    return Local()


@pytest.mark.parametrize(
    "arguments",
    [
        {"interaction": "dot", "over_arch": None},
        {"interaction": "convolution"},
        {"interaction": "concat", "over_arch": (32, 16)},
        {"target_attention": SoftAttention, "max_length": 10},
    ],
    ids=["dot", "convolution", "concat", "attention"],
)
def test_it_learns(parts, arguments):
    train, valid, test = parts
    torch.manual_seed(0)
    model = Ranker(train.schema, 8, ("user_gender", "item_genres"), **arguments)
    trained = fit(
        model,
        train,
        epochs=8,
        progress=False,
        optimization=Optimization(global_batch_size=64, table_learning_rate=0.1, learning_rate=0.01),
    )
    report = evaluate(trained, train + valid, test)
    assert report["auc"] > 0.85
    assert report["log_loss"] < 0.45


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fields": ("user", "year")}, "fields names 'year', which the data does not have; there are user"),
        ({"fields": ()}, "fields is empty; name at least one feature"),
        ({"interaction": DotInteraction(2, 8)}, "was built with num_fields=2, .* needs num_fields=6"),
        ({"interaction": "dott"}, "no interactions named 'dott', did you mean 'dot'"),
        ({"interaction": nn.Linear(8, 8)}, r"Linear is not a contracts\.Interaction"),
        ({"target_attention": SoftAttention(4)}, "SoftAttention was built with dim=4, but the model"),
        ({"over_arch": None}, r"must be the 1 logit\(s\), but it is 15 wide; pass over_arch=\(\)"),
        ({"over_arch": (8, -1)}, "over_arch should be at least 1, received -1"),
        ({"over_arch": nn.Linear(15, 4)}, "over_arch Linear has no out_dim"),
        ({"tasks": 0}, "tasks should be at least 1, received 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_explained(parts, arguments, message):
    with pytest.raises(InputError, match=message):
        Ranker(parts[0].schema, **{"dim": 8, **arguments})
