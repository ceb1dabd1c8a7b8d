import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torchrec.optim.optimizers import in_backward_optimizer_filter

from tests.models.attention import SoftAttention
from tests.shards import held
from tests.worlds import small_world
from torchrec_ext import plugins
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.hidden_events import HiddenEvents
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.models import Ranker, TwoTower, task_for
from torchrec_ext.target_attention import SIM
from torchrec_ext.training.even_batch import even_batch

TRAIN = leave_last_out(small_world())[0]
EVERY = Candidates("catalogue", np.ones(30))


def searching_ranker() -> Ranker:
    hard = partial(SIM, match="item_genres")
    return Ranker(TRAIN.schema, 8, target_attention=hard, history_fields=("item_genres", "context_device"))


def test_a_batch_that_is_full_stays_as_it_is():
    model = TwoTower(TRAIN.schema, 8, "gru")
    batch = NextEvents(TRAIN, model.inputs, EVERY).batch(np.arange(4), 4.0, np.random.default_rng(0))
    assert even_batch(batch, 4, model.inputs) is batch


def test_added_examples_change_neither_loss_nor_what_the_others_get():
    for model, kind in (
        (TwoTower(TRAIN.schema, 8, "mean_pool", ("user",), ("item_genres", "item_price")), NextEvents),
        (TwoTower(TRAIN.schema, 8, "mean_pool", ("user", "context_hour")), LastEvents),
        (TwoTower(TRAIN.schema, 8), LastEvents),
        (Ranker(TRAIN.schema, 8), LabelledEvents),
        (Ranker(TRAIN.schema, 8, target_attention=SoftAttention), LabelledEvents),
        (searching_ranker(), LabelledEvents),
    ):
        task = task_for(model)
        shard(task)
        if kind is LabelledEvents:
            examples: LabelledEvents | NextEvents | LastEvents = LabelledEvents(TRAIN, TRAIN, model.inputs)
        else:
            examples = kind(TRAIN, model.inputs, EVERY)
        chosen = np.arange(5, 9)
        batch = examples.batch(chosen, examples.weight(chosen), np.random.default_rng(0))
        longer = even_batch(batch, 7, model.inputs)
        assert longer.fields.stride() == longer.sequences.stride() == len(longer.dense) == 7
        before = dataclasses.replace(batch)
        loss, (_, logits) = task(batch)
        padded, (_, padded_logits) = task(longer)
        torch.testing.assert_close(padded, loss)
        if kind is LabelledEvents:
            assert padded_logits.shape == (7, 1)
            torch.testing.assert_close(padded_logits[:4], logits)
        assert torch.equal(before.fields.lengths(), batch.fields.lengths()), "the batch itself is not changed"


MODELS = {
    **{
        f"encoder {name}": lambda name=name: TwoTower(
            TRAIN.schema,
            8,
            name,
            ("user",),
            ("item_genres", "item_price"),
            history_fields=("context_device", "item_genres"),
        )
        for name in plugins.names("encoders")
    },
    **{
        f"scorer {name}": lambda name=name: TwoTower(TRAIN.schema, 8, "gru", scorer=name)
        for name in plugins.names("scorers")
    },
    "searching ranker": searching_ranker,
    "fields alone": lambda: TwoTower(TRAIN.schema, 8, None, ("user", "context_hour")),
    **{
        f"target attention {name}": lambda name=name: Ranker(TRAIN.schema, 8, target_attention=name)
        for name in plugins.names("target_attention")
    },
    **{
        f"interaction {name}": lambda name=name: Ranker(
            TRAIN.schema, 8, fields=("user", "item", "user_gender"), interaction=name
        )
        for name in plugins.names("interactions")
    },
}


@pytest.mark.parametrize("kind", ["catalogue", "sampled", "in_batch"])
@pytest.mark.parametrize("name", MODELS)
def test_a_rank_without_an_example_takes_part_and_learns_nothing(name, kind):
    model = MODELS[name]()
    ranker = isinstance(model, Ranker)
    if ranker and kind != "catalogue":
        return
    task = task_for(model)
    dmp = shard(task, learning_rate=0.5)
    initialise_tables(model, seed=0)
    if ranker:
        examples: Any = LabelledEvents(TRAIN, TRAIN, model.inputs)
    else:
        examples = examples_for(model)(TRAIN, model.inputs, Candidates(kind, np.ones(30), 4))
    batch = examples.batch(np.zeros(0, np.int64), 5.0, np.random.default_rng(0), salt=1)
    assert len(batch.labels) == len(batch.dense) == 0
    padded = even_batch(batch, 1, model.inputs)
    assert padded.fields.stride() == padded.sequences.stride() == len(padded.dense) == 1
    tables = {key: tensor.clone() for key, tensor in held(model.state_dict()).items() if "embeddings." in key}
    loss, _ = dmp(padded)
    loss.backward()
    assert loss.item() == 0
    for key, tensor in held(model.state_dict()).items():
        assert key not in tables or torch.equal(tensor, tables[key])
    for key, parameter in in_backward_optimizer_filter(dmp.named_parameters()):
        # other ranks wait for this one's gradient of each parameter
        assert parameter.grad is not None and not parameter.grad.any(), key


def examples_for(model):
    if not model.inputs.per_event_labels:
        return LastEvents
    return HiddenEvents if model.inputs.masked else NextEvents
