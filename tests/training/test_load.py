from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
import torch
from torch import Tensor

from tests import processes
from tests.shards import assert_equal, held
from tests.worlds import small_world
from torchrec_ext.contracts import SequenceEncoder
from torchrec_ext.data import leave_last_out
from torchrec_ext.distributed import shard
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel, predict, recommend
from torchrec_ext.training import Optimization, fit, load

EVENTS = small_world()
TRAIN, VALID, TEST = leave_last_out(EVENTS)
PAIRS = pd.DataFrame({"user": [1, 2, 3], "item": [101, 105, 130], "device": "desk", "hour": 3.0})


class Undescribed(SequenceEncoder):
    """Keeps an argument that is no plain value."""

    causal = True

    def __init__(self, dim: int, shift: Tensor | None = None) -> None:
        super().__init__()
        self.dim = self.out_dim = dim
        self.shift = torch.ones(dim) if shift is None else shift

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        return events_BTD + self.shift


def trained(run: Path, model: TwoTower | Ranker) -> TrainedModel:
    with mock.patch("torchrec_ext.training.progress.draw_curves"):
        return fit(
            model,
            TRAIN,
            VALID,
            epochs=1,
            output=run,
            progress=False,
            optimization=Optimization(global_batch_size=32),
        )


def open_without_a_group(run: Path) -> tuple[pd.DataFrame, dict[str, float], pd.DataFrame]:
    assert not torch.distributed.is_initialized()
    retriever, ranker = load(run / "retriever"), load(run / "ranker")
    lists = recommend(retriever, EVENTS, [1, 2, 3], k=5)
    return lists, dict(evaluate(retriever, TRAIN + VALID, TEST, k=(5,))), predict(ranker, EVENTS, PAIRS)


def test_a_run_opens_in_a_process_without_a_group(tmp_path):
    retriever = trained(
        tmp_path / "retriever",
        TwoTower(TRAIN.schema, 10, GRU(10, hidden=7), ("user", "user_age"), ("item_genres",), 9, "cosine"),
    )
    ranker = trained(tmp_path / "ranker", Ranker(TRAIN.schema, 10, interaction="convolution"))
    ((lists, figures, scores),) = processes.run(open_without_a_group, tmp_path, processes=1)
    pd.testing.assert_frame_equal(lists, recommend(retriever, EVENTS, [1, 2, 3], k=5))
    assert figures == dict(evaluate(retriever, TRAIN + VALID, TEST, k=(5,)))
    pd.testing.assert_frame_equal(scores, predict(ranker, EVENTS, PAIRS))


def test_any_of_a_runs_checkpoints_opens(tmp_path):
    model = trained(tmp_path, TwoTower(TRAIN.schema, 8, "gru"))
    for path in (tmp_path, str(tmp_path), next(tmp_path.glob("checkpoints/step-*"))):
        again = load(path, sharding={"item": "table_wise"})
        assert not again.module.training and again.preparation.schema == TRAIN.schema
        assert_equal(held(again.module.state_dict()), held(model.module.state_dict()))


def test_a_model_that_cannot_be_described_is_handed_in(tmp_path):
    model = trained(tmp_path, TwoTower(TRAIN.schema, 8, Undescribed(8)))
    with pytest.raises(InputError, match="has parts that cannot be built from JSON; pass it as model="):
        load(tmp_path)
    again = load(tmp_path, model=TwoTower(TRAIN.schema, 8, Undescribed(8)))
    assert_equal(held(again.module.state_dict()), held(model.module.state_dict()))


def test_a_sharded_model_is_refused(tmp_path):
    trained(tmp_path, TwoTower(TRAIN.schema, 8))
    model = TwoTower(TRAIN.schema, 8)
    shard(model)
    with pytest.raises(InputError, match="the model is sharded already"):
        load(tmp_path, model=model)
