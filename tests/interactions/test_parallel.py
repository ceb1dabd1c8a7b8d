import json
from functools import partial

import pytest
import torch
from torch import nn

from torchrec_ext import plugins
from torchrec_ext.errors import InputError
from torchrec_ext.interactions import (
    ConcatInteraction,
    CrossNetwork,
    DotInteraction,
    MLPInteraction,
    Parallel,
)

THREE = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])


def rebuilt(module):
    description = plugins.specification(module)
    again = plugins.rebuild(json.loads(json.dumps(description)))
    again.load_state_dict(module.state_dict())
    assert plugins.specification(again) == description
    return again


def test_outputs_one_after_the_other():
    interaction = Parallel(num_fields=3, dim=2, parts=("concat", "dot"))
    assert interaction.out_dim == 9
    assert interaction(THREE).tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 11.0, 17.0, 39.0]]
    assert Parallel(num_fields=3, dim=2)(THREE).tolist()[0][:3] == [11.0, 17.0, 39.0]


def test_names_classes_functions_and_instances():
    parts = (
        "dot",
        ConcatInteraction,
        partial(MLPInteraction, hidden=(4,)),
        plugins.bind("interactions", "convolution", filters=3),
        CrossNetwork(3, 2, layers=1),
    )
    interaction = Parallel(3, 2, parts)
    widths = [part.out_dim for part in interaction.interactions]
    assert widths == [3, 6, 4, 6, 6] and interaction.out_dim == 25
    assert interaction.interactions[4] is parts[4]
    each = [part(THREE) for part in interaction.interactions]
    torch.testing.assert_close(interaction(THREE), torch.cat(each, 1))
    assert torch.equal(rebuilt(interaction)(THREE), interaction(THREE))


def test_names_stay_names_and_the_rest_are_instances():
    interaction = Parallel(3, 2, ("dot", MLPInteraction))
    assert interaction.parts == ("dot", interaction.interactions[1])
    assert plugins.specification(interaction)["arguments"]["parts"][0] == "dot"
    assert Parallel(3, 2, ["dot", "concat"]).parts == ("dot", "concat")


def test_of_instances():
    deep, crosses = MLPInteraction(3, 2), CrossNetwork(3, 2)
    interaction = Parallel.of(deep, crosses)
    assert (interaction.num_fields, interaction.dim, interaction.out_dim) == (3, 2, 38)
    assert interaction.parts == (deep, crosses)
    assert torch.equal(interaction(THREE), torch.cat([deep(THREE), crosses(THREE)], 1))
    assert torch.equal(rebuilt(interaction)(THREE), interaction(THREE))


def test_one_inside_another():
    inner = Parallel.of(DotInteraction(3, 2), DotInteraction(3, 2, keep_fields=1))
    interaction = Parallel(3, 2, (inner, "concat"))
    assert interaction.out_dim == 3 + 5 + 6
    assert torch.equal(rebuilt(interaction)(THREE), interaction(THREE))


class SumOfFields(DotInteraction):
    def __init__(self, size):
        nn.Module.__init__(self)
        self.out_dim = size


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Parallel(3, 2, "dot"), "parts should be several interactions, received 'dot' alone"),
        (lambda: Parallel(3, 2, DotInteraction(3, 2)), "should be several interactions, received DotInter"),
        (lambda: Parallel(3, 2, ()), "parts is empty; name at least one interaction"),
        (
            lambda: Parallel(3, 2, ("dot", "concatt")),
            "no interactions named 'concatt', did you mean 'concat'",
        ),
        (lambda: Parallel(3, 2, (DotInteraction(4, 2),)), "built with num_fields=4.* needs num_fields=3"),
        (lambda: Parallel(3, 2, (nn.Linear(3, 2),)), r"Linear is not a contracts\.Interaction"),
        (lambda: Parallel.of(), r"Parallel\.of\(\) needs at least one interaction"),
        (lambda: Parallel.of(DotInteraction(3, 2), MLPInteraction(3, 4)), "built with dim=4.* needs dim=2"),
        (lambda: Parallel.of(SumOfFields(2)), "SumOfFields has no num_fields; keep it as an attribute"),
        (lambda: Parallel(0, 2), "num_fields should be at least 1, received 0"),
    ],
)
def test_wrong_parts_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
