import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import CIN


def test_two_layers_by_hand():
    interaction = CIN(num_fields=2, dim=2, maps=(1, 1))
    with torch.no_grad():
        interaction.layers[0].weight.copy_(torch.tensor([[1.0, 10.0, 0.0, 0.0]]))
        interaction.layers[1].weight.copy_(torch.tensor([[2.0, -1.0]]))
    # The first map is 1 * (1*1, 2*2) + 10 * (1*3, 2*4) = (31, 84), whose sum is 115.
    # The second is 2 * (31*1, 84*2) - (31*3, 84*4) = (-31, 0).
    assert interaction.out_dim == 2
    assert interaction(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist() == [[115.0, -31.0]]


def test_it_is_a_loop_over_maps_and_fields():
    count, dim, sizes = 3, 4, (5, 2, 3)
    interaction = CIN(count, dim, maps=sizes).double()
    fields = torch.randn(6, count, dim, dtype=torch.float64)
    expected = []
    for row in fields:
        maps, sums = list(row), []
        for layer, size in zip(interaction.layers, sizes, strict=True):
            new = []
            for h in range(size):
                total = torch.zeros(dim, dtype=torch.float64)
                for i, before in enumerate(maps):
                    for j, field in enumerate(row):
                        total = total + layer.weight[h, i * count + j] * before * field
                new.append(total)
            maps = new
            sums += [each.sum() for each in maps]
        expected.append(torch.stack(sums))
    torch.testing.assert_close(interaction(fields), torch.stack(expected))


@pytest.mark.parametrize(
    ("maps", "message"),
    [((), r"maps should hold the number of maps .*, received \(\)"), ((3, 0), "maps should be at least 1")],
)
def test_wrong_arguments_are_named(maps, message):
    with pytest.raises(InputError, match=message):
        CIN(3, 4, maps=maps)
