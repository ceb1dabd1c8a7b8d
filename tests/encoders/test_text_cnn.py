import pytest
import torch

from torchrec_ext.embeddings import last_state
from torchrec_ext.encoders import TextCNN
from torchrec_ext.errors import InputError


def test_two_heights_by_hand():
    encoder = TextCNN(dim=1, filters=1, heights=(1, 2), dropout=0.0)
    with torch.no_grad():
        encoder.convolutions[0].weight.copy_(torch.tensor([[-1.0]]))
        encoder.convolutions[0].bias.fill_(0.5)
        encoder.convolutions[1].weight.copy_(torch.tensor([[2.0, 1.0]]))
        encoder.convolutions[1].bias.fill_(-1.0)
    words = torch.tensor([[[3.0], [-2.0], [1.0], [9.0]]])  # the fourth is padding
    # height 1: -2.5, 2.5, -0.5; height 2, which begins before the first word: 2, 3, -4
    states = encoder(words, torch.tensor([3]))
    assert states[0, :3].tolist() == [[0.0, 2.0], [2.5, 3.0], [2.5, 3.0]]


@pytest.mark.parametrize("heights", [(3, 4, 5), (2,)])
def test_equals_a_convolution_and_a_maximum(heights):
    torch.manual_seed(0)
    encoder = TextCNN(dim=4, filters=3, heights=heights).double().eval()
    texts, lengths = torch.randn(4, 9, 4).double(), torch.tensor([9, 1, 0, 4])
    found = last_state(encoder(texts, lengths), lengths)
    for row, length in enumerate(lengths.tolist()):
        maxima = []
        for height, layer in zip(heights, encoder.convolutions, strict=True):
            text = 2 * torch.cat([torch.zeros(height - 1, 4).double(), texts[row, :length]])
            filters = layer.weight.view(3, height, 4).transpose(1, 2)
            places = (
                torch.nn.functional.conv1d(text.t(), filters, layer.bias) if length else torch.zeros(3, 1)
            )
            maxima.append(places.relu().amax(1))
        torch.testing.assert_close(found[row], torch.cat(maxima).to(found.dtype))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heights": ()}, "heights should hold at least one height"),
        ({"heights": (3, 0)}, "heights should be at least 1, received 0"),
        ({"filters": 0}, "filters should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        TextCNN(dim=8, **arguments)
