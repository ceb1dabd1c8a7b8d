import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tests import processes
from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, RankingTask, RetrievalTask, TwoTower, task_for
from torchrec_ext.training.even_batch import even_batch


def losses_and_gradients(kind: str) -> tuple[float, dict[str, torch.Tensor], int]:
    """Loss of a batch that is shared unevenly, gradients and updated rows, and this rank's targets."""
    group = join_group()
    train, _, _ = leave_last_out(small_world())
    torch.manual_seed(0)
    if kind == "ranker":
        model: nn.Module = Ranker(train.schema, 8)
        examples: LabelledEvents | NextEvents = LabelledEvents(train, train, model.inputs)
    else:
        model = TwoTower(train.schema, 8, GRU(8, dropout=0.0), ("user",))
        examples = NextEvents(train, model.inputs, Candidates("catalogue", np.ones(30)))
    dmp = shard(
        task_for(model, world_size=group.world_size), learning_rate=0.5, sharding={"user": "row_wise"}
    )
    initialise_tables(model, 0)
    # user 1, who has 37 targets, and the others, who have some ten each
    whole = np.arange(7)
    share = {1: whole, 2: whole[:1] if group.first else whole[1:]}[group.world_size]
    batch = examples.batch(share, examples.weight(whole), np.random.default_rng(0))
    targets = int((batch.labels >= 0).sum())
    batch = even_batch(batch, 7 if group.world_size == 1 else 6, model.inputs)
    loss, (told, _) = dmp(batch)
    assert told == loss and not told.requires_grad
    loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    found["users"] = model.embeddings.bags.state_dict()["embedding_bags.user.weight"].local_shards()[0].tensor
    return loss.item(), {n: t.detach().clone() for n, t in found.items()}, targets


def of_both_kinds() -> list[tuple[float, dict[str, torch.Tensor], int]]:
    return [losses_and_gradients(kind) for kind in ("retriever", "ranker")]


def test_a_rank_with_fewer_targets_weighs_less():
    """The mean over ranks of losses and gradients is that of the global batch."""
    alone, together = of_both_kinds(), processes.run(of_both_kinds)
    for kind in range(2):
        loss, gradients, targets = alone[kind]
        first, second = (rank[kind] for rank in together)
        assert first[2] != second[2] and first[2] + second[2] == targets
        assert first[0] != pytest.approx(second[0], abs=0.01)
        assert (first[0] + second[0]) / 2 == pytest.approx(loss, abs=1e-5)
        users = torch.cat([first[1].pop("users"), second[1].pop("users")])
        torch.testing.assert_close(users, gradients.pop("users"), atol=1e-4, rtol=1e-3)
        assert gradients.keys() == first[1].keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(first[1][name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_the_loss_is_the_mean_over_the_targets():
    train, _, _ = leave_last_out(small_world())
    model = TwoTower(train.schema, 8, GRU(8, dropout=0.0))
    shard(model)
    initialise_tables(model, 0)
    examples = NextEvents(train, model.inputs, Candidates("catalogue", np.ones(30)))
    chosen = np.arange(5)
    batch = examples.batch(chosen, examples.weight(chosen), np.random.default_rng(0))
    loss, _ = RetrievalTask(model)(batch)
    fields, sequences = model.embeddings(batch)
    queries = model.query_tower(fields, sequences, batch, True)
    logits = queries @ model.item_tower(sequences, batch).T
    wanted = nn.functional.cross_entropy(logits, batch.labels)
    torch.testing.assert_close(loss, wanted)
    narrow, _ = RetrievalTask(model, precision=torch.bfloat16)(batch)
    assert narrow.dtype == torch.float32 and narrow.item() == pytest.approx(loss.item(), abs=0.02)
    assert narrow.item() != loss.item()


class OfLogits(SoftmaxCrossEntropy):
    """The same loss, which is not known to be that of dot products, so that it is given the logits."""


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("encoder", "scorer", "in_batch"), [("gru", "dot", 99), ("gru", "cosine", 9), ("comirec", "dot", 3)]
)
def test_the_loss_of_dot_products_is_that_of_the_logits(encoder, scorer, in_batch, precision):
    train, _, _ = leave_last_out(small_world())
    outcomes = []
    for loss in (SoftmaxCrossEntropy(), OfLogits()):
        torch.manual_seed(0)
        model = TwoTower(train.schema, 8, encoder, ("user",), max_length=9, scorer=scorer)
        shard(model, learning_rate=0.1)
        initialise_tables(model, 0)
        kind = NextEvents if model.inputs.every_position else LastEvents
        examples = kind(train, model.inputs, Candidates("sampled", np.ones(30), 9, in_batch=in_batch))
        chosen = np.arange(5)
        batch = examples.batch(chosen, examples.weight(chosen), np.random.default_rng(0))
        batch.weights = torch.linspace(0, 2, len(batch.labels))
        torch.manual_seed(0)
        loss, _ = RetrievalTask(model.eval(), loss, precision=precision)(batch)
        loss.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        tables = [v.local_shards()[0].tensor for v in model.embeddings.state_dict().values()]
        outcomes.append([loss.detach(), *gradients, *tables])
    near = {"rtol": 1e-5, "atol": 1e-6} if precision == torch.float32 else {"rtol": 0.03, "atol": 0.03}
    assert len(outcomes[0]) > 3
    for mine, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, theirs, **near)


def test_every_position_in_one_pass_teaches_what_one_row_a_prefix_teaches():
    train, _, _ = leave_last_out(small_world())
    outcomes = []
    for kind in (NextEvents, LastEvents):
        torch.manual_seed(0)
        model = TwoTower(train.schema, 8, GRU(8, dropout=0.0), ("user",))
        shard(model, learning_rate=0.1)
        initialise_tables(model, 0)
        if kind is LastEvents:
            model.inputs = type(model.inputs)(**{**vars(model.inputs), "every_position": False})
        examples = kind(train, model.inputs, Candidates("catalogue", np.ones(30)))
        chosen = np.arange(len(examples.sizes()))
        if kind is LastEvents:
            chosen = np.flatnonzero(examples.sizes())  # without the first events, which follow on nothing
        batch = examples.batch(chosen, examples.weight(chosen), np.random.default_rng(0))
        loss, _ = RetrievalTask(model)(batch)
        loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        tables = {k: v.local_shards()[0].tensor for k, v in model.embeddings.state_dict().items()}
        outcomes.append((loss.item(), gradients, tables))
    (loss, gradients, tables), (wanted, of_prefixes, wanted_tables) = outcomes
    assert loss == pytest.approx(wanted, abs=1e-5)
    assert gradients.keys() == of_prefixes.keys() and len(gradients) > 4
    for name in gradients:
        torch.testing.assert_close(gradients[name], of_prefixes[name], atol=1e-5, rtol=1e-3, msg=name)
    for name in tables:
        torch.testing.assert_close(tables[name], wanted_tables[name], atol=1e-3, rtol=1e-3, msg=name)


def test_a_batch_without_a_known_target_teaches_nothing():
    train, _, _ = leave_last_out(small_world())
    model = TwoTower(train.schema, 8, GRU(8))
    shard(model)
    examples = NextEvents(train, model.inputs, Candidates("catalogue", np.ones(30)))
    batch = examples.batch(np.arange(3), 0.0, np.random.default_rng(0))
    batch.labels = torch.full_like(batch.labels, -1)
    loss, _ = RetrievalTask(model)(batch)
    assert loss.item() == 0.0
    loss.backward()
    assert all(p.grad is None or (p.grad == 0).all() for p in model.query_tower.parameters())


@pytest.mark.parametrize(("also_negative", "odds"), [(False, (5 + 4) / 1), (True, (5 + 4) / 3)])
def test_the_odds_of_least_loss_are_the_expected_rating_if_positives_are_negatives_too(also_negative, odds):
    train, _, _ = leave_last_out(small_world())
    task = RankingTask(Ranker(train.schema, 8), BinaryCrossEntropy(True, also_negative))
    weights, labels = torch.tensor([[5.0], [4.0], [1.0]]), torch.tensor([[1.0], [1.0], [0.0]])
    logit = torch.tensor(math.log(odds), requires_grad=True)
    batch = SimpleNamespace(labels=labels, weights=weights, total=torch.tensor(10.0))
    loss, _ = task.loss(logit.expand(3, 1), batch)
    loss.backward()
    assert loss.item() > 0 and logit.grad.item() == pytest.approx(0, abs=1e-6)


def test_ranking_hands_on_its_logits():
    train, _, _ = leave_last_out(small_world())
    model = Ranker(train.schema, 8)
    shard(model)
    examples = LabelledEvents(train, train, model.inputs)
    batch = examples.batch(np.arange(6), 6.0)
    loss, (_, logits) = RankingTask(model)(batch)
    assert logits.shape == (6, 1) and not logits.requires_grad
    sign = torch.where(batch.labels > 0, 1.0, -1.0)
    assert loss.item() == pytest.approx((1 + (-sign * logits).exp()).log().mean().item(), abs=1e-6)
    assert math.isfinite(loss.item())


def test_other_models_have_no_task():
    with pytest.raises(InputError, match="model must be a contracts.Retriever .* received a Linear"):
        task_for(nn.Linear(2, 1))
