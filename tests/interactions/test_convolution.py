import pytest
import torch
from torch import nn

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import ConvolutionInteraction


def _with_weights(interaction, weights, bias):
    with torch.no_grad():
        interaction.convolution.weight.copy_(torch.tensor(weights))
        interaction.convolution.bias.copy_(torch.tensor(bias))
    return interaction


def test_width_slides_over_the_fields():
    # Weights are (filters, components, fields covered).
    interaction = _with_weights(
        ConvolutionInteraction(3, 2, filters=2, kernel_size=2),
        [[[1.0, 10.0], [100.0, 1000.0]], [[0.0, -1.0], [0.0, 0.0]]],
        [0.5, 0.0],
    )
    fields = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [-5.0, 6.0]]])
    # First filter: 1*1 + 100*2 + 10*3 + 1000*4 + .5, then 1*3 + 100*4 + 10*-5 + 1000*6 + .5.
    # Second: minus the next field's first component, and ReLU.
    assert interaction.out_dim == 4
    assert interaction(fields).tolist() == [[4231.5, 0.0, 6353.5, 5.0]]


def test_fields_slides_over_the_components():
    # Weights are (filters, fields, components covered).
    interaction = _with_weights(
        ConvolutionInteraction(2, 3, filters=1, kernel_size=2, channels="fields"),
        [[[1.0, 10.0], [100.0, 1000.0]]],
        [0.0],
    )
    fields = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, -6.0]]])
    # 1*1 + 10*2 + 100*4 + 1000*5, then 1*2 + 10*3 + 100*5 - 1000*6 and ReLU.
    assert interaction.out_dim == 2
    assert interaction(fields).tolist() == [[5421.0, 0.0]]


@pytest.mark.parametrize("channels", ["width", "fields"])
@pytest.mark.parametrize("kernel_size", [1, 2, 3])
def test_it_is_torchs_convolution(channels, kernel_size):
    interaction = ConvolutionInteraction(4, 5, filters=6, kernel_size=kernel_size, channels=channels)
    fields = torch.randn(3, 4, 5, requires_grad=True)
    slid = fields.transpose(1, 2) if channels == "width" else fields
    expected_BCL = torch.relu(nn.Conv1d.forward(interaction.convolution, slid))
    expected = expected_BCL.transpose(1, 2).flatten(1)
    received = interaction(fields)
    torch.testing.assert_close(received, expected)
    weights = [fields, *interaction.parameters()]
    pattern = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(received, weights, pattern), torch.autograd.grad(expected, weights, pattern)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"kernel_size": 3},
            "kernel_size should be at most 2, the number of fields it slides over, received 3",
        ),
        (
            {"kernel_size": 6, "channels": "fields"},
            "kernel_size should be at most 5, the number of components it slides over, received 6",
        ),
        ({"channels": "depth"}, "channels should be 'width' or 'fields', received 'depth'"),
        ({"filters": 0}, "filters should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ConvolutionInteraction(num_fields=2, dim=5, **arguments)
