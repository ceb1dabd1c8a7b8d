"""A retriever, a loss and a ranker from outside are trained, evaluated, saved and opened like ours."""

import math
from contextlib import nullcontext

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection

from tests import processes
from tests.worlds import small_world
from torchrec_ext import contracts
from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data import leave_last_out
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import predict, recommend
from torchrec_ext.scorers import DotScorer
from torchrec_ext.training import Optimization, fit, load

EVENTS = small_world()
TRAIN, VALID, TEST = leave_last_out(EVENTS)
PAIRS = pd.DataFrame({"user": [1, 2, 3], "item": [101, 105, 130]})


class LastItem(contracts.Retriever):
    """The query is the vector that follows the last item: FPMC's Markov chain, on plain embeddings."""

    def __init__(self, items: int, dim: int = 8) -> None:
        super().__init__()
        self.items, self.dim = items, dim
        self.inputs = Inputs(max_length=1, candidates=True)
        self.scorer = DotScorer(dim)
        self.following = nn.Embedding(items, dim)
        self.vectors = nn.Embedding(items, dim)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.encode_queries(batch), self.encode_items(batch)

    def encode_queries(self, batch: Batch) -> Tensor:
        history = batch.sequences["history"]
        queries_BD = self.vectors.weight.new_zeros(len(history.lengths()), self.dim)
        queries_BD[history.lengths() > 0] = self.following(history.values())
        return queries_BD

    def encode_items(self, batch: Batch) -> Tensor:
        return self.vectors(batch.sequences["candidates"].values())


class ShardedLastItem(contracts.Retriever):
    """The same, over a table of TorchRec's that is looked up once; the query is the item's own vector."""

    def __init__(self, items: int, dim: int = 8) -> None:
        super().__init__()
        self.items, self.dim = items, dim
        self.inputs = Inputs(max_length=1, candidates=True)
        self.scorer = DotScorer(dim)
        table = EmbeddingConfig(
            name="item", embedding_dim=dim, num_embeddings=items, feature_names=["history", "candidates"]
        )
        self.tables = EmbeddingCollection(tables=[table], device=torch.device("meta"))
        self.step = nn.Linear(dim, dim)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        vectors = self.tables(batch.sequences)
        return self._queries(vectors), vectors["candidates"].values()

    def encode_queries(self, batch: Batch) -> Tensor:
        return self._queries(self.tables(batch.sequences))

    def encode_items(self, batch: Batch) -> Tensor:
        return self.tables(batch.sequences)["candidates"].values()

    def _queries(self, vectors: dict) -> Tensor:
        lengths_B = vectors["history"].lengths()
        queries_BD = vectors["history"].values().new_zeros(len(lengths_B), self.dim)
        queries_BD[lengths_B > 0] = vectors["history"].values()
        return self.step(queries_BD)


def items() -> int:
    return TRAIN.schema.table("item").rows


def quickly(model: nn.Module, **settings):
    losses: list[float] = []
    optimization = Optimization(64, learning_rate=0.02)
    settings = {"epochs": 6, "optimization": optimization, "progress": False, **settings}
    trained = fit(model, TRAIN, VALID, on_step=lambda _, loss: losses.append(loss), **settings)
    return trained, losses


@pytest.mark.parametrize("cls", [LastItem, ShardedLastItem])
def test_a_retriever_from_outside_is_trained_evaluated_saved_and_opened(cls, tmp_path):
    torch.manual_seed(0)
    sharded = cls is ShardedLastItem  # whose forward branches, so that TorchRec cannot trace it
    warning = pytest.warns(UserWarning, match="lookups do not overlap") if sharded else nullcontext()
    with warning:
        trained, losses = quickly(cls(items()), output=tmp_path / "run")
    assert losses[-1] < 0.8 * losses[0]
    assert evaluate(trained, TRAIN + VALID, TEST, k=(10,))["hr@10"] > 0.5, "a guess has 1 in 3"
    opened = load(tmp_path / "run")
    assert type(opened.module) is cls
    for outcome in (lambda m: recommend(m, EVENTS, [1, 2, "new"], k=4), lambda m: predict(m, EVENTS, PAIRS)):
        pd.testing.assert_frame_equal(outcome(trained), outcome(opened))


def losses_on_ranks() -> list[float]:
    torch.manual_seed(0)
    return quickly(ShardedLastItem(items()), sharding={"item": "row_wise"}, epochs=1)[1]


def test_a_sharded_retriever_from_outside_trains_on_two_processes():
    first, second = processes.run(losses_on_ranks)
    assert first == second and first[-1] < first[0]


def hinge(logits_NC: Tensor, labels_N: Tensor, log_q_C: Tensor | None = None) -> Tensor:
    """Every other candidate should score 1 less than the target."""
    return functional.multi_margin_loss(logits_NC, labels_N.clamp(min=0), reduction="none") * (labels_N >= 0)


class Hinge(contracts.RetrievalLoss):
    """The same as a class, over a few candidates."""

    candidates = "sampled"

    def __init__(self, num_sampled: int = 20) -> None:
        super().__init__()
        self.num_sampled = num_sampled

    def forward(self, logits_NC: Tensor, labels_N: Tensor, log_q_C: Tensor | None = None) -> Tensor:
        assert logits_NC.shape[1] <= self.num_sampled + len(labels_N)
        return hinge(logits_NC, labels_N)


@pytest.mark.parametrize("loss", [hinge, Hinge, Hinge(10), "tests.training.test_third_party:Hinge"])
def test_a_loss_by_function_class_instance_or_name(loss):
    torch.manual_seed(0)
    trained, losses = quickly(TwoTower(TRAIN.schema, 8, "gru"), loss=loss)
    assert losses[-1] < losses[0] < 2, "the hinge of 30 candidates is about 1, their cross-entropy 3.4"
    described = trained.settings["loss"]
    if loss is hinge:
        assert described == {"function": "tests.training.test_third_party:hinge"}
    else:
        assert described["class"].endswith(":Hinge")


def test_a_rankers_loss_by_function_is_that_of_its_logits():
    """The squared error of 0 logits is the share of positives, times 1 - 0 squared."""
    model = Ranker(TRAIN.schema, 8, over_arch=())
    with torch.no_grad():
        for parameter in model.arch.parameters():
            parameter.zero_()
    _, losses = quickly(model, loss=lambda logits, labels: (logits - labels) ** 2, epochs=1)
    share = (TRAIN.events.ratings >= 4).mean()
    assert losses[0] == pytest.approx(share, abs=0.2) and math.isfinite(losses[-1])


def test_names_of_losses_have_hints():
    with pytest.raises(InputError, match="no losses named 'softmax'.*softmax_cross_entropy"):
        quickly(TwoTower(TRAIN.schema, 8), loss="softmax")
