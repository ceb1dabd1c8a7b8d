import pytest
import torch
from torch.nn.functional import layer_norm

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import MaskNet


def test_one_block_by_hand():
    interaction = MaskNet(num_fields=1, dim=2, blocks=1, hidden=2, ratio=1)
    (block,) = interaction.mask_blocks
    with torch.no_grad():
        block.aggregation.weight.copy_(torch.eye(2))
        block.aggregation.bias.copy_(torch.tensor([0.0, -5.0]))
        block.projection.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        block.projection.bias.copy_(torch.tensor([0.0, 4.0]))
        block.layer.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        block.norm.weight.copy_(torch.tensor([1.0, 3.0]))
    # Of (1, 3): the norm gives (-1, 1), and relu(1, 3 - 5) = (1, 0) the mask (2, 0 + 4).
    # W (-2, 4) = (-2, 2), whose norm (-1, 1) becomes (-1, 3), and ReLU.
    assert (interaction.out_dim, interaction.out_fields) == (2, 1)
    assert interaction(torch.tensor([[[1.0, 3.0]]])).tolist() == [pytest.approx([0.0, 3.0], abs=1e-4)]


@pytest.mark.parametrize("parallel", [True, False])
def test_it_is_a_loop_over_fields_and_blocks(parallel):
    interaction = MaskNet(3, 4, blocks=2, hidden=5, parallel=parallel).double()
    with torch.no_grad():
        for parameter in interaction.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    fields = torch.randn(6, 3, 4, dtype=torch.float64)
    expected = []
    for row in fields:
        raw = row.flatten()
        normal = []
        for field, scale, offset in zip(row, interaction.scales_FD, interaction.offsets_FD, strict=True):
            spread = ((field - field.mean()) ** 2).mean() + 1e-5
            normal.append(scale * (field - field.mean()) / spread.sqrt() + offset)
        state, outputs = torch.cat(normal), []
        for block in interaction.mask_blocks:
            wide = (block.aggregation.weight @ raw + block.aggregation.bias).clamp(min=0)
            mask = block.projection.weight @ wide + block.projection.bias
            hidden = block.layer.weight @ (mask * state)
            outputs.append(layer_norm(hidden, (5,), block.norm.weight, block.norm.bias).clamp(min=0))
            state = state if parallel else outputs[-1]
        expected.append(torch.cat(outputs) if parallel else state)
    assert interaction.out_dim == (10 if parallel else 5)
    torch.testing.assert_close(interaction(fields), torch.stack(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 1}, "dim should be at least 2, received 1"),
        ({"hidden": 1}, "hidden should be at least 2, received 1"),
        ({"blocks": 0}, "blocks should be at least 1, received 0"),
        ({"ratio": 0}, "ratio should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        MaskNet(**{"num_fields": 3, "dim": 4, **arguments})
