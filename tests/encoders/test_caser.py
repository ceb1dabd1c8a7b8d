import pytest
import torch
from torch.nn import functional

from torchrec_ext.encoders import Caser
from torchrec_ext.errors import InputError


def test_one_window_by_hand():
    encoder = Caser(dim=1, window=3, horizontal_filters=1, vertical_filters=1, dropout=0.0).eval()
    encoder.norm = torch.nn.Identity()
    with torch.no_grad():
        for row, weights in zip(encoder.rows, ([2.0], [1.0, -1.0], [1.0, 1.0, 1.0]), strict=True):
            row.copy_(torch.tensor([weights]))
        encoder.rows_bias.copy_(torch.tensor([0.0, 1.0, -9.0]))
        encoder.columns.copy_(torch.tensor([[0.5, 0.0, -1.0]]))
        encoder.mix_rows.weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
        encoder.mix_rows.bias.fill_(0.25)
        encoder.mix_columns.weight.fill_(4.0)
    states = encoder(torch.tensor([[[3.0], [1.0], [6.0]]]), torch.tensor([3]))
    # Of (0, 0, 3): rows max(0, 0, 6), max(0 + 1, -3 + 1), 3 - 9 cut at 0; column -3.
    # Of (0, 3, 1): rows 6, max(-3, 2) + 1, 0; column -1. Of (3, 1, 6): 12, 2 + 1, 1; 1.5 - 6.
    expected = [6 + 10 - 12 + 0.25, 6 + 30 - 4 + 0.25, 12 + 30 + 100 - 18 + 0.25]
    assert states.flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("window", "events"), [(5, 9), (5, 3), (1, 4)])
def test_it_is_torch_own_convolutions_of_each_window(window, events):
    encoder = Caser(dim=6, window=window, horizontal_filters=3, vertical_filters=2).double().eval()
    with torch.no_grad():
        encoder.rows_bias.normal_()
    vectors = torch.randn(2, events, 6, dtype=torch.float64)
    padded = functional.pad(vectors * 6**0.5, (0, 0, window - 1, 0))
    expected = []
    for t in range(events):
        image = padded[:, None, t : t + window]
        rows = []
        for height in range(1, window + 1):
            weight = encoder.rows[height - 1].view(3, 1, height, 6)
            bias = encoder.rows_bias[3 * (height - 1) : 3 * height]
            rows.append(functional.conv2d(image, weight, bias).squeeze(3).relu().amax(2))
        columns = functional.conv2d(image, encoder.columns.view(2, 1, window, 1)).flatten(1)
        mixed = encoder.mix_rows(torch.cat(rows, 1)) + encoder.mix_columns(columns)
        expected.append(encoder.norm(mixed))
    states = encoder(vectors, torch.tensor([events, events]))
    torch.testing.assert_close(states, torch.stack(expected, 1))


def test_steps_equal_forward_beyond_the_window():
    encoder = Caser(dim=4, window=3).eval()
    events = torch.randn(3, 12, 4)
    expected = encoder(events, torch.full((3,), 12))
    state = encoder.initial_state(3)
    for t in range(12):
        state, output = encoder.step(state, events[:, t])
        torch.testing.assert_close(output, expected[:, t], rtol=1e-5, atol=1e-5)


def test_the_trace_serves_other_sizes():
    encoder = Caser(dim=8).eval()
    traced = torch.fx.symbolic_trace(encoder)
    for rows, events in ((2, 3), (1, 5), (4, 20)):
        vectors, lengths = torch.randn(rows, events, 8), torch.full((rows,), events)
        torch.testing.assert_close(traced(vectors, lengths), encoder(vectors, lengths))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "window should be at least 1, received 0"),
        ({"horizontal_filters": 0}, "horizontal_filters should be at least 1, received 0"),
        ({"vertical_filters": 0}, "vertical_filters should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        Caser(dim=4, **arguments)
