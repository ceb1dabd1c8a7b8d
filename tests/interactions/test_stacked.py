import json
from functools import partial

import pytest
import torch
from torch import nn

from torchrec_ext import plugins
from torchrec_ext.errors import InputError
from torchrec_ext.interactions import (
    FGCNN,
    AutoInt,
    BiInteraction,
    ConcatInteraction,
    ConvolutionInteraction,
    CrossNetwork,
    DotInteraction,
    MaskNet,
    MLPInteraction,
    Parallel,
    Stacked,
)

THREE = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])


def test_field_vectors_stay_field_vectors():
    interaction = Stacked(num_fields=3, dim=2, parts=("concat", "dot"))
    assert (interaction.out_dim, interaction.out_fields) == (3, 1)
    assert interaction(THREE).tolist() == [[11.0, 17.0, 39.0]]


def test_one_vector_is_one_field():
    interaction = Stacked(3, 2, ("bi_interaction", "concat"))
    assert interaction(THREE).tolist() == [[23.0, 44.0]]
    assert interaction.interactions[1].num_fields == 1
    assert Stacked(3, 2, ("bi_interaction", "cross_network")).interactions[1].dim == 2


def test_each_reads_the_one_before():
    generated = FGCNN(3, 2)
    interaction = Stacked(3, 2, (generated, "dot", partial(MLPInteraction, hidden=(4,)), CrossNetwork))
    _, dots, deep, crosses = interaction.interactions
    vectors = generated(THREE).unflatten(1, (generated.out_fields, 2))
    expected = crosses(deep(dots(vectors)[:, None])[:, None])
    assert interaction.out_dim == 4
    torch.testing.assert_close(interaction(THREE), expected)


@pytest.mark.parametrize(
    ("part", "fields", "width"),
    [
        (partial(AutoInt, hidden=6), 3, 6),  # a field's vector after attention
        (partial(ConvolutionInteraction, filters=5), 2, 5),  # the filters at each position
        (partial(MaskNet, hidden=4), 3, 4),  # its blocks
        (partial(MaskNet, hidden=4, parallel=False), 1, 4),
        (partial(Parallel, parts=("concat", "cross_network")), 6, 2),
        (partial(Parallel, parts=("concat", "dot")), 1, 9),
    ],
)
def test_what_an_output_consists_of(part, fields, width):
    interaction = Stacked(3, 2, (part, ConcatInteraction))
    last = interaction.interactions[1]
    assert (last.num_fields, last.dim) == (fields, width)
    assert torch.equal(interaction(THREE), interaction.interactions[0](THREE))


def test_it_is_described_and_nests():
    inner = Stacked(3, 2, ("cross_network", "dot"))
    interaction = Stacked(3, 2, (Parallel.of(inner, DotInteraction(3, 2)), "mlp"))
    assert interaction.parts == (interaction.interactions[0], "mlp")
    description = plugins.specification(interaction)
    again = plugins.rebuild(json.loads(json.dumps(description)))
    again.load_state_dict(interaction.state_dict())
    assert plugins.specification(again) == description
    assert torch.equal(again(THREE), interaction(THREE))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stacked(3, 2, "dot"), "parts should be several interactions, received 'dot' alone"),
        (lambda: Stacked(3, 2, ()), "parts is empty; name at least one interaction"),
        (lambda: Stacked(3, 2, ("dott", "mlp")), "^no interactions named 'dott', did you mean 'dot'"),
        (
            lambda: Stacked(3, 2, ("mlp", "dot")),
            r"parts\[1\] reads the output of MLPInteraction, 1 field vector\(s\) of width 32: "
            "num_fields should be at least 2, received 1",
        ),
        (
            lambda: Stacked(3, 2, ("concat", "concat", BiInteraction(2, 2))),
            r"parts\[2\] reads the output of ConcatInteraction, 3 .* was built with num_fields=2",
        ),
        (lambda: Stacked(3, 2, (nn.Linear(3, 2),)), r"Linear is not a contracts\.Interaction"),
        (lambda: Stacked(0, 2), "num_fields should be at least 1, received 0"),
    ],
)
def test_wrong_parts_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
