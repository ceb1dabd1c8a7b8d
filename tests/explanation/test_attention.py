"""Attention as an explanation: the weights that a model uses, shown only where a test finds them right."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.explanation.by_hand import built
from tests.explanation.test_faithfulness import PAIRS
from tests.retrieval.trained import EVENTS, TRAIN
from tests.serving.models import model
from torchrec_ext.encoders import NARM, AttentionPool
from torchrec_ext.errors import InputError
from torchrec_ext.explanation import explain, faithfulness
from torchrec_ext.models import Ranker
from torchrec_ext.target_attention import DIN, SIM


@pytest.mark.parametrize("module", [DIN(4), DIN(4, softmax=True), SIM(4, top_k=2, heads=2), SIM(4)])
def test_a_target_attention_uses_the_weights_that_it_shows(module):
    target, events, lengths = torch.rand(3, 4), torch.rand(3, 5, 4), torch.tensor([5, 3, 0])
    weights = module.event_weights(target, events, lengths)
    if isinstance(module, DIN):
        torch.testing.assert_close(
            module(target, events, lengths), torch.einsum("bt,btd->bd", weights, events)
        )
    else:
        torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 1.0, 0.0]))
        assert (weights > 0).sum(1).tolist() == [min(5, module.top_k), min(3, module.top_k), 0]
        attended = module(target, events, lengths)[:, 4:].unflatten(1, (2, 12))[..., :4].mean(1)
        torch.testing.assert_close(attended, torch.einsum("bt,btd->bd", weights, events))


def test_an_encoder_uses_the_weights_that_it_shows_for_its_newest_state():
    events, lengths = torch.rand(2, 5, 4), torch.tensor([5, 3])
    pool = AttentionPool(4)
    newest = pool(events, lengths)[[0, 1], lengths - 1]
    weights = pool.event_weights(events, lengths)
    torch.testing.assert_close(newest, torch.einsum("bt,btd->bd", weights, events))
    narm = NARM(4, attention_window=2).eval()
    states, weights = narm.gru(events, lengths), narm.event_weights(events, lengths)
    assert (weights != 0).tolist() == [[False] * 3 + [True] * 2, [False, True, True, False, False]]
    mixed = narm._mixed(states[[0, 1], lengths - 1], torch.einsum("bt,bth->bh", weights, states))
    torch.testing.assert_close(narm(events, lengths)[[0, 1], lengths - 1], mixed)


def squares(sign: float):
    """The logit is plus or minus the sum of the events, each weighted by itself."""
    attention = DIN(1, hidden=(1,))
    module = Ranker(TRAIN.schema, 1, (), target_attention=attention, interaction="concat", over_arch=(),
                    first_order=False)  # fmt: skip
    items = len(TRAIN.preparation.vocabularies["item"])
    one = torch.ones(1)
    return built(module, TRAIN, {
        "embeddings.tables.item.weight": torch.rand(items, 1, generator=torch.Generator().manual_seed(0)),
        "arch.attention.first.weight": torch.tensor([[1.0, 0.0, 0.0]]), "arch.attention.first.bias": 0 * one,
        "arch.attention.activations.0.weight": one,
        "arch.attention.last.weight": one[None], "arch.attention.last.bias": 0 * one,
        "arch.head.linear.weight": torch.tensor([[0.0, sign]]), "arch.head.linear.bias": 0 * one,
    })  # fmt: skip


def test_weights_are_shown_where_they_are_reasons_and_refused_where_they_are_not():
    right, wrong = squares(0.3), squares(-0.3)
    tested = faithfulness(right, EVENTS, PAIRS, method="attention")
    assert tested.passes
    found = explain(right, EVENTS, 3, 115, method="attention", tested=tested)
    table = right.module.state_dict()["embeddings.tables.item.weight"][:, 0]
    vectors = table[TRAIN.preparation.vocabularies["item"].rows(found["value"].to_numpy())]
    np.testing.assert_allclose(found["contribution"], vectors)  # the weight of an event is its vector
    failed = faithfulness(wrong, EVENTS, PAIRS, method="attention")
    with pytest.raises(
        InputError, match="tested does not pass: attention is NOT faithful .*; use leave_one_out"
    ):
        explain(wrong, EVENTS, 3, 115, method="attention", tested=failed)
    for other in (None, tested, replace(failed, method="leave_one_out")):
        with pytest.raises(InputError, match="tested should be what faithfulness.*'attention'.* received"):
            explain(wrong, EVENTS, 3, 115, method="attention", tested=other)
    with pytest.raises(InputError, match="does not pass"):
        explain(wrong, EVENTS, 3, 115, tested=replace(failed, method="leave_one_out"))  # of any method


@pytest.mark.parametrize("name", ["encoder gru", "interaction dot", "factorization"])
def test_a_model_without_attention_says_so(name):
    with pytest.raises(InputError, match="attention needs a module with event_weights, such as DIN.*has a"):
        explain(model(name), EVENTS, 3, 115, method="attention")
