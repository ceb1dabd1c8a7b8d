import json

import numpy as np
import pytest
import torch
from torch import nn
from torchrec.models.dlrm import InteractionArch
from torchrec.modules.crossnet import CrossNet
from torchrec.modules.deepfm import DeepFM
from torchrec.modules.mlp import MLP

from tests.worlds import small_world
from torchrec_ext import plugins
from torchrec_ext.data import leave_last_out
from torchrec_ext.errors import InputError
from torchrec_ext.interactions import DotInteraction, MLPInteraction, ModuleInteraction
from torchrec_ext.models import Ranker
from torchrec_ext.training import Optimization, fit

FIELDS, DIM = 4, 8
PLACE = "torchrec_ext.interactions:ModuleInteraction"
THREE = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])


class Reads(nn.Module):
    """Notes what it is called with; a column of ones is its output."""

    def forward(self, *given):
        self.given = given
        return torch.ones(len(given[0][0]) if isinstance(given[0], list) else len(given[0]), 1)


@pytest.mark.parametrize(
    ("input_format", "expected"),
    [
        ("flat", [[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]]),
        ("fields", [THREE.tolist()]),
        ("list", [[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]]),
        ("dense_and_sparse", [[[1.0, 2.0]], [[[3.0, 4.0], [5.0, 6.0]]]]),
    ],
)
def test_what_the_module_reads(input_format, expected):
    inner = Reads()
    assert ModuleInteraction(3, 2, inner, input_format)(THREE).tolist() == [[1.0]]
    given = [[t.tolist() for t in g] if isinstance(g, list) else g.tolist() for g in inner.given]
    assert given == expected


def torchrecs(name, num_fields=FIELDS, dim=DIM):
    """Each of TorchRec's modules, its input format, and how wide it is."""
    flat, products = num_fields * dim, num_fields * (num_fields - 1) // 2
    return {
        "InteractionArch": (InteractionArch(num_fields - 1), "dense_and_sparse", dim + products),
        "CrossNet": (CrossNet(flat, 2), "flat", flat),
        "MLP": (MLP(flat, [6, 5]), "flat", 5),
        "DeepFM": (DeepFM(MLP(flat, [6, 5])), "list", 5),
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", ["InteractionArch", "CrossNet", "MLP", "DeepFM"])
def test_torchrecs_modules_fit_and_train(name):
    inner, input_format, width = torchrecs(name)
    interaction = ModuleInteraction(FIELDS, DIM, inner, input_format)
    assert interaction.out_dim == width
    fields = torch.randn(5, FIELDS, DIM)
    given = {
        "flat": (fields.flatten(1),),
        "list": ([fields[:, :1], fields[:, 1:]],),
        "dense_and_sparse": (fields[:, 0], fields[:, 1:]),
    }[input_format]
    torch.testing.assert_close(interaction(fields), inner(*given))

    train, _, _ = leave_last_out(small_world())
    torch.manual_seed(0)
    inner, input_format, _ = torchrecs(name, num_fields=2)
    before = {key: value.clone() for key, value in inner.named_parameters()}
    interaction = ModuleInteraction(2, DIM, inner, input_format)
    model = Ranker(train.schema, DIM, ("user_gender", "item_genres"), interaction)
    losses: list[float] = []
    fit(
        model,
        train,
        epochs=4,
        progress=False,
        on_step=lambda _, loss: losses.append(loss),
        optimization=Optimization(global_batch_size=64, table_learning_rate=0.1, learning_rate=0.01),
    )
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    assert all(not torch.equal(value, before[key]) for key, value in inner.named_parameters())


def test_dots_are_torchrecs():
    fields = torch.randn(5, FIELDS, DIM)
    theirs = ModuleInteraction(FIELDS, DIM, InteractionArch(FIELDS - 1), "dense_and_sparse")
    torch.testing.assert_close(DotInteraction(FIELDS, DIM, keep_fields=1)(fields), theirs(fields))


def test_more_axes_are_flattened():
    inner = nn.TransformerEncoderLayer(DIM, 2, batch_first=True, dropout=0.0)
    interaction = ModuleInteraction(FIELDS, DIM, inner, "fields")
    assert interaction.out_dim == FIELDS * DIM
    fields = torch.randn(5, FIELDS, DIM)
    assert torch.equal(interaction(fields), inner(fields).flatten(1))


def test_a_module_that_tells_its_arguments_is_described():
    interaction = ModuleInteraction(FIELDS, DIM, MLPInteraction(FIELDS, DIM, (6,)), "fields")
    again = plugins.rebuild(json.loads(json.dumps(plugins.specification(interaction))))
    again.load_state_dict(interaction.state_dict())
    fields = torch.randn(5, FIELDS, DIM)
    assert torch.equal(interaction(fields), again(fields))
    assert plugins.specification(ModuleInteraction(FIELDS, DIM, nn.Linear(32, 2))) is None


def test_a_lazy_module_gets_its_sizes():
    inner = nn.LazyLinear(5)
    assert ModuleInteraction(FIELDS, DIM, inner).out_dim == 5
    assert inner.weight.shape == (5, FIELDS * DIM)


class Own(ModuleInteraction):
    """Names an own module for the command line."""

    def __init__(self, num_fields: int, dim: int, width: int = 5) -> None:
        super().__init__(num_fields, dim, nn.Linear(num_fields * dim, width))
        self.width = width


def test_a_subclass_has_a_name_and_is_described():
    interaction = plugins.build("interactions", f"{__name__}:Own", num_fields=3, dim=2, width=4)
    assert interaction.out_dim == 4
    assert plugins.specification(interaction)["arguments"] == {"num_fields": 3, "dim": 2, "width": 4}


class Total(nn.Module):
    def __init__(self, keep_rows=True):
        super().__init__()
        self.keep_rows = keep_rows

    def forward(self, x):
        return x.sum(1) if self.keep_rows else x.sum(0, keepdim=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plugins.build("interactions", "module", num_fields=3, dim=2), "or pass 'package"),
        (lambda: plugins.build("interactions", PLACE, num_fields=3, dim=2), "Interaction needs module; pass"),
        (lambda: ModuleInteraction(3, 2, nn.Linear), "module should be an nn.Module, received <class"),
        (lambda: ModuleInteraction(3, 2, nn.Linear(5, 1)), r"Linear fails on zeros .*\(2, 3, 2\): mat1"),
        (lambda: ModuleInteraction(3, 2, Total()), r"should give \(batch, width\), received \(2,\)"),
        (lambda: ModuleInteraction(3, 2, Total(False)), r"received \(1, 6\) for a batch of 2"),
        (lambda: ModuleInteraction(3, 2, nn.GRU(6, 2)), "should give .* received tuple"),
        (lambda: ModuleInteraction(3, 2, nn.Identity(), "all"), "input_format should be 'flat' or .* 'all'"),
        (
            lambda: ModuleInteraction(1, 2, nn.Identity(), "dense_and_sparse"),
            "num_fields should be at least 2, received 1",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_explained(make, message):
    with pytest.raises(InputError, match=message):
        make()
