import dataclasses

import numpy as np
import torch

from tests.models.attention import SoftAttention
from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.distributed import shard
from torchrec_ext.models import Ranker, TwoTower, task_for
from torchrec_ext.training.even_batch import even_batch

TRAIN = leave_last_out(small_world())[0]
EVERY = Candidates("catalogue", np.ones(30))


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
