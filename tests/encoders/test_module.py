import pytest
import torch
from torch import nn

from tests.worlds import small_world
from torchrec_ext import plugins
from torchrec_ext.data import leave_last_out
from torchrec_ext.encoders import ModuleEncoder
from torchrec_ext.errors import InputError
from torchrec_ext.models import TwoTower
from torchrec_ext.training import Optimization, fit

EVENTS, LENGTHS = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([4, 2, 0])


class Seen(nn.Module):
    def forward(self, events, hidden=None):
        self.events, self.hidden = events, hidden
        return events


def test_padding_is_zero_before():
    inner = Seen()
    encoder = ModuleEncoder(1, inner)
    events = torch.tensor([[[1.0], [2.0]], [[3.0], [float("nan")]]])
    assert encoder(events, torch.tensor([2, 1])).flatten().tolist() == [1.0, 2.0, 3.0, 0.0]
    assert inner.hidden is None and not encoder.causal and encoder.out_dim == 1


def test_the_mask_is_true_at_padding_but_for_empty_histories():
    inner = Seen()
    ModuleEncoder(8, inner, mask_argument="hidden")(EVENTS, LENGTHS)
    assert inner.hidden.tolist() == [[False] * 4, [False, False, True, True], [False] * 4]


def test_torchs_recurrent_networks_hand_out_states_first():
    inner = nn.LSTM(8, 6, batch_first=True)
    encoder = ModuleEncoder(8, inner, causal=True)
    assert encoder.causal and encoder.out_dim == 6
    states = encoder(EVENTS, LENGTHS)
    torch.testing.assert_close(states[0], inner(EVENTS[:1])[0][0])
    torch.testing.assert_close(states[1, :2], inner(EVENTS[1:2, :2])[0][0])


@pytest.mark.parametrize("training", [True, False])
def test_masked_attention_does_not_see_padding(training):
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    inner = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    encoder = ModuleEncoder(8, inner, mask_argument="src_key_padding_mask").train(training)
    longer = torch.cat([EVENTS, torch.full((3, 2, 8), 9.0)], 1)
    states = encoder(longer, LENGTHS)
    torch.testing.assert_close(states[0, :4], inner(EVENTS[:1])[0])
    torch.testing.assert_close(states[1, :2], inner(EVENTS[1:2, :2])[0])
    assert states.isfinite().all()


def test_it_trains_in_a_two_tower():
    train, _, _ = leave_last_out(small_world())
    torch.manual_seed(0)
    inner = nn.GRU(8, 12, batch_first=True)
    before = inner.weight_ih_l0.clone()
    model = TwoTower(train.schema, 8, ModuleEncoder(8, inner, causal=True))
    assert model.inputs.every_position
    losses: list[float] = []
    fit(
        model,
        train,
        epochs=3,
        progress=False,
        on_step=lambda _, v: losses.append(v),
        optimization=Optimization(learning_rate=0.01),
    )
    assert losses[-1] < losses[0] and not torch.equal(inner.weight_ih_l0, before)


class Shorter(nn.Module):
    def forward(self, events):
        return events[:, :3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plugins.build("encoders", "module", dim=2), "no encoders named 'module'.* or pass"),
        (lambda: ModuleEncoder(2, nn.Linear), "module should be an nn.Module, received <class"),
        (lambda: ModuleEncoder(2, nn.Linear(3, 1)), r"Linear fails on zeros of shape \(2, 3, 2\): mat1"),
        (lambda: ModuleEncoder(2, nn.Flatten()), r"should give \(batch, events, width\), received \(2, 6\)"),
        (lambda: ModuleEncoder(2, nn.Identity(), mask_argument="mask"), "Identity fails on zeros .*'mask'"),
        (lambda: ModuleEncoder(8, Shorter())(EVENTS, LENGTHS), r"states should be \(3, 4, 8\), received"),
        (lambda: ModuleEncoder(0, nn.Identity()), "dim should be at least 1, received 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_explained(make, message):
    with pytest.raises(InputError, match=message):
        make()
