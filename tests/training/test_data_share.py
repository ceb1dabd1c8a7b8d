"""Batches made in the background: what is learnt stays the same, and how long training waited is told."""

import threading
from itertools import count
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch

from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.errors import InputError
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.training import Optimization, fit
from torchrec_ext.training.epoch import _Feed
from torchrec_ext.training.progress import Progress

TRAIN, VALID, _ = leave_last_out(small_world())
QUICK = {"optimization": Optimization(global_batch_size=32), "progress": False}


def train(model, **settings):
    losses: list[float] = []
    fit(model, TRAIN, on_step=lambda _, loss: losses.append(loss), **{**QUICK, "epochs": 2, **settings})
    return losses


@pytest.mark.parametrize("kind", ["retriever", "ranker with a history"])
def test_losses_are_the_same_however_many_batches_are_made_ahead(kind):
    losses = []
    for prefetch in (0, 1, 5):
        torch.manual_seed(0)
        if kind == "retriever":
            model: torch.nn.Module = TwoTower(TRAIN.schema, 8, "gru", ("user",))
            loss = SoftmaxCrossEntropy("sampled", num_sampled=8)
        else:
            model, loss = Ranker(TRAIN.schema, 8, target_attention="din"), None
        losses.append(train(model, prefetch=prefetch, loss=loss))
    assert losses[0] == losses[1] == losses[2]
    assert len(losses[0]) > 3


def is_prefetching():
    return any(thread.name.startswith("prefetch") for thread in threading.enumerate())


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_run_that_is_interrupted_leaves_no_thread(prefetch, error):
    def on_step(step, loss):
        assert is_prefetching() == (prefetch > 0)
        if step == 3:
            raise error

    with pytest.raises(error):
        fit(TwoTower(TRAIN.schema, 8), TRAIN, prefetch=prefetch, on_step=on_step, epochs=4, **QUICK)
    assert not is_prefetching()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_fault_of_the_data_is_told_by_fit(prefetch):
    numbers = count()
    batch = LabelledEvents.batch

    def broken(*arguments):
        if next(numbers) == 4:
            raise MemoryError("the fifth batch")
        return batch(*arguments)

    with mock.patch.object(LabelledEvents, "batch", broken), pytest.raises(MemoryError, match="the fifth"):
        train(Ranker(TRAIN.schema, 8), prefetch=prefetch)
    assert not is_prefetching()


def test_prefetch_cannot_be_negative():
    with pytest.raises(InputError, match="prefetch should be at least 0, received -1"):
        train(TwoTower(TRAIN.schema, 8), prefetch=-1)


def test_what_counts_is_the_time_until_a_batch_is_there():
    model = Ranker(TRAIN.schema, 8)
    loader = Loader(LabelledEvents(TRAIN, TRAIN, model.inputs), 32)
    now = 0.0

    def slow():
        nonlocal now
        for seconds, batch in enumerate(loader.epoch(0)):
            now += seconds
            yield batch

    epoch = mock.Mock(loader=loader, inputs=model.inputs, group=mock.Mock(world_size=1))
    feed = _Feed(slow(), epoch, mock.Mock(step=0))
    with mock.patch("torchrec_ext.training.epoch.time.perf_counter", lambda: now):
        for waited in (0, 1, 3, 6):
            next(feed)
            assert feed.waited == waited
            now += 100  # what training itself takes


@pytest.mark.parametrize("prefetch", [0, 2])
def test_the_history_has_the_share(tmp_path, prefetch):
    with mock.patch("torchrec_ext.training.progress.draw_curves"):
        train(Ranker(TRAIN.schema, 8), prefetch=prefetch, output=tmp_path)
    shares = pd.read_csv(tmp_path / "history.csv")["data_share"]
    assert len(shares) == 2 and ((shares > 0) & (shares < 1)).all()


def test_the_line_of_an_epoch_tells_it(capsys):
    with Progress(None, first=True, bar=True, name="GRU", history=[]) as progress:
        progress.start_epoch(0, 1, 1, 0)
        progress.end_epoch(
            1, {"epoch": 1, "train_loss": np.float64(0.5), "seconds": 123.4, "data_share": 0.0123}
        )
    assert "GRU epoch 1: train_loss 0.5000  seconds 123  data 1.2%" in capsys.readouterr().out
