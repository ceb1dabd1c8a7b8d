import pytest
import torch
from torchrec.modules.mlp import MLP

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import MLPInteraction


def test_two_layers_by_hand():
    interaction = MLPInteraction(num_fields=2, dim=1, hidden=(2, 1))
    with torch.no_grad():
        for name, values in {
            "layers.0.weight": [[1.0, 10.0], [-1.0, 0.0]],
            "layers.0.bias": [0.5, 0.0],
            "layers.3.weight": [[2.0, 5.0]],
            "layers.3.bias": [1.0],
        }.items():
            interaction.get_parameter(name).copy_(torch.tensor(values))
    # First layer: 3 + 10*4 + .5, and -3 with ReLU; second: 2*43.5 + 5*0 + 1.
    assert interaction.out_dim == 1
    assert interaction(torch.tensor([[[3.0], [4.0]]])).tolist() == [[88.0]]


def test_it_is_torchrecs():
    interaction, theirs = MLPInteraction(3, 4, hidden=(6, 5)), MLP(12, [6, 5])
    for mine, other in zip(interaction.parameters(), theirs.parameters(), strict=True):
        mine.data.copy_(other.data)
    fields = torch.randn(7, 3, 4)
    torch.testing.assert_close(interaction(fields), theirs(fields.flatten(1)))


def test_dropout_falls_on_every_layer_in_training_alone():
    torch.manual_seed(0)
    interaction = MLPInteraction(3, 4, hidden=(200, 50), dropout=0.5)
    fields = torch.randn(100, 3, 4)
    plain = interaction.eval()(fields)
    dropped = interaction.train()(fields)
    alive = plain > 0
    assert (dropped[alive] == 0).float().mean().item() > 0.5
    between = interaction.layers[2]
    assert between.p == 0.5 and torch.equal(interaction.eval()(fields), plain)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": ()}, r"hidden should hold the width of at least one layer, received \(\)"),
        ({"hidden": (4, 0)}, "hidden should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        MLPInteraction(3, 4, **arguments)
