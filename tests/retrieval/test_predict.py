import numpy as np
import pandas as pd
import pytest
import torch

from tests.models.attention import SoftAttention
from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel, predict
from torchrec_ext.training import Optimization, fit

EVENTS = small_world()
TRAIN, VALID, TEST = leave_last_out(EVENTS)
PAIRS = pd.DataFrame(
    {"item": [105, 101, 105, 130], "user": [7, 3, 7, 60], "device": "desk", "hour": [1.0, 2.0, 3.0, 4.0]},
    index=[10, 3, 7, 1],
)


def ready(model: TwoTower | Ranker) -> TrainedModel:
    return fit(model, TRAIN, epochs=1, progress=False, optimization=Optimization(global_batch_size=64))


@pytest.fixture(scope="module")
def ranker() -> TrainedModel:
    return ready(Ranker(TRAIN.schema, 8, target_attention=SoftAttention, max_length=10))


def test_pairs_keep_their_order_index_and_columns(ranker):
    scored = predict(ranker, EVENTS, PAIRS)
    pd.testing.assert_frame_equal(scored[PAIRS.columns], PAIRS)
    assert scored.columns.tolist() == [*PAIRS.columns, "score", "known"]
    assert scored["known"].all() and scored["score"].between(0, 1).all()
    backwards = predict(ranker, EVENTS, PAIRS[::-1])
    pd.testing.assert_series_equal(backwards["score"][::-1], scored["score"])
    for place in range(len(PAIRS)):
        (alone,) = predict(ranker, EVENTS, PAIRS.iloc[[place]])["score"]
        assert alone == pytest.approx(scored["score"].iloc[place], abs=1e-6)
    assert scored.loc[10, "score"] != scored.loc[7, "score"], "another hour"


def test_a_rankers_score_is_the_probability_of_its_first_task(ranker):
    log = TRAIN.preparation.log(EVENTS)
    schema = TRAIN.schema
    context = [f for f in (*schema.features, *schema.dense) if f.entity == "context"]
    pairs = Batcher(TRAIN.preparation, log, ranker.inputs).pairs(
        np.array([6]),
        log.offsets[[7]],
        TRAIN.preparation.vocabularies["item"].rows([105]),
        {f.name: TRAIN.preparation.context(f, PAIRS[f.column].iloc[:1]) for f in context},
    )
    with torch.no_grad():
        wanted = ranker.module(pairs).sigmoid().item()
    assert predict(ranker, EVENTS, PAIRS)["score"].iloc[0] == pytest.approx(wanted, abs=1e-6)


def test_a_retrievers_score_is_its_scorers():
    model = ready(TwoTower(TRAIN.schema, 8, GRU(8), scorer="cosine"))
    scored = predict(model, EVENTS, PAIRS[["user", "item"]])
    log = TRAIN.preparation.log(EVENTS)
    batcher = Batcher(TRAIN.preparation, log, model.inputs)
    users = np.array([log.user_ids.get_loc(user) for user in PAIRS["user"]])
    with torch.no_grad():
        queries = model.module.encode_queries(batcher.queries(users, log.offsets[users + 1]))
        items = model.module.encode_items(
            batcher.items(TRAIN.preparation.vocabularies["item"].rows(PAIRS["item"]))
        )
    wanted = torch.cosine_similarity(queries, items) / 0.1
    np.testing.assert_allclose(scored["score"], wanted, atol=1e-5)


def test_unknown_ids_are_scored_and_marked(ranker):
    pairs = PAIRS.assign(user=[7, "who", 7, "60"], item=[105, 101, 999, 130])
    scored = predict(ranker, EVENTS, pairs)
    assert scored["known"].tolist() == [True, False, False, True]
    assert scored["score"].notna().all()
    assert scored["user"].tolist() == [7, "who", 7, "60"]


def test_items_that_are_all_foreign(ranker):
    pairs = PAIRS.assign(item=["a", "b", "c", "a"])
    with pytest.raises(
        InputError, match="in pairs is known; they are strings, such as 'a', but .* has integers"
    ):
        predict(ranker, EVENTS, pairs)
    new = predict(ranker, EVENTS, PAIRS.assign(item=[1, 2, 3, 1]))
    assert not new["known"].any(), "of their kind, though unknown: scored and marked"


def test_scores_that_are_not_numbers_are_refused():
    torch.manual_seed(0)
    diverged = ready(Ranker(TRAIN.schema, 8))
    with torch.no_grad():
        for weight in diverged.module.arch.parameters():
            weight.fill_(float("nan"))
    with pytest.raises(
        InputError, match="4 of 4 pairs a score that is not a number; did its training diverge"
    ):
        predict(diverged, EVENTS, PAIRS)


def test_no_pairs_are_no_scores(ranker):
    assert predict(ranker, EVENTS, PAIRS[:0]).columns.tolist() == [*PAIRS.columns, "score", "known"]


@pytest.mark.parametrize("column", ["user", "item", "device", "hour"])
def test_a_missing_column_is_explained(ranker, column):
    left = PAIRS.drop(columns=column)
    with pytest.raises(
        InputError, match=f"pairs lack the column '{column}'; they have {', '.join(left.columns)}"
    ):
        predict(ranker, EVENTS, left)


def test_a_context_that_the_model_does_not_read_may_be_missing():
    model = ready(Ranker(TRAIN.schema, 8, ("user", "item")))
    assert len(predict(model, EVENTS, PAIRS[["user", "item"]])) == 4
