import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import CCPM


def test_a_wide_convolution_by_hand():
    interaction = CCPM(num_fields=2, dim=1, filters=(1,), kernel_size=2)
    with torch.no_grad():
        interaction.weights[0].copy_(torch.tensor([[[1.0], [0.5]]]))
    # Windows (0, .6), (.6, -.2), (-.2, 0), of which all three values are kept.
    expected = [math.tanh(value) for value in (0.3, 0.5, -0.2)]
    assert (interaction.out_dim, interaction.out_fields) == (3, 3)
    assert interaction(torch.tensor([[[0.6], [-0.2]]])).tolist() == [pytest.approx(expected)]


def test_the_largest_values_are_kept_in_their_order():
    interaction = CCPM(num_fields=4, dim=2, filters=(1,), kernel_size=1)
    with torch.no_grad():
        interaction.weights[0].fill_(1.0)
    fields = torch.tensor([[[0.3, 4.0], [0.1, 3.0], [0.4, 2.0], [0.2, 1.0]]])
    # The second field is the least in the first component, the fourth in the second one.
    expected = [math.tanh(value) for value in (0.3, 4.0, 0.4, 3.0, 0.2, 2.0)]
    assert interaction(fields).tolist() == [pytest.approx(expected)]


@pytest.mark.parametrize(
    ("num_fields", "layers", "pools"),
    [(10, 3, (8, 3, 3)), (9, 3, (8, 3, 3)), (4, 2, (2, 3)), (2, 2, (1, 3)), (1, 1, (3,))],
)
def test_p_is_the_papers(num_fields, layers, pools):
    # Of 10 fields, (1 - (1/3)**2) * 10 = 8.9 and (1 - 2/3) * 10 = 3.3.
    assert CCPM(num_fields, 2, filters=(1,) * layers).pools == pools


def test_the_last_pool_has_no_more_values_than_there_are():
    assert CCPM(2, 2, filters=(1,), kernel_size=1).pools == (2,)


def test_it_is_a_loop_over_filters_components_and_windows():
    count, dim, kernel = 5, 3, 2
    interaction = CCPM(count, dim, filters=(3, 2), kernel_size=kernel).double()
    fields = torch.randn(4, count, dim, dtype=torch.float64)
    expected = []
    for row in fields:
        maps = [row]
        for weight, pool in zip(interaction.weights, interaction.pools, strict=True):
            beyond = torch.zeros(kernel - 1, dim, dtype=torch.float64)
            padded = [torch.cat([beyond, each, beyond]) for each in maps]
            new = torch.zeros(weight.shape[2], pool, dim, dtype=torch.float64)
            for o in range(weight.shape[2]):
                for d in range(dim):
                    values = []
                    for start in range(len(padded[0]) - kernel + 1):
                        seen = torch.cat([each[start : start + kernel, d] for each in padded])
                        values.append(weight[d, :, o] @ seen)
                    largest = sorted(range(len(values)), key=lambda n, v=values: -v[n])[:pool]
                    new[o, :, d] = torch.stack([values[n] for n in sorted(largest)]).tanh()
            maps = list(new)
        expected.append(torch.cat(maps).flatten())
    torch.testing.assert_close(interaction(fields), torch.stack(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": ()}, r"filters should hold the number of filters .*, received \(\)"),
        ({"filters": (3, 0)}, "filters should be at least 1, received 0"),
        ({"kernel_size": 0}, "kernel_size should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        CCPM(3, 4, **arguments)
