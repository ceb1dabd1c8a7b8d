import math

import pytest
import torch

from torchrec_ext.encoders import MIND
from torchrec_ext.errors import InputError


def test_two_interests_by_hand():
    encoder = MIND(dim=1, num_interests=2, iterations=2, adaptive=False)
    with torch.no_grad():
        encoder.bilinear.weight.fill_(2.0)
        encoder.first_logits.zero_()
        encoder.first_logits[0, 0] = math.log(3)  # of the newest event
    events = torch.tensor([[[1.0], [-0.5], [9.0]]])  # the third is padding
    # mapped 2 and -1; first round: the interests take 1/2, 1/2 of the first and 3/4, 1/4 of the second
    # event: 1/4 and 3/4, squashed 1/17 and 9/25
    first = 1 / (1 + math.exp(2 * 9 / 25 - 2 / 17))
    second = 1 / (1 + math.exp(-9 / 25 + 1 / 17) / 3)
    sums = [2 * first - second, 2 * (1 - first) - (1 - second)]
    expected = [s * abs(s) / (1 + s * s) for s in sums]
    assert encoder(events, torch.tensor([2]))[0, :, 0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("adaptive", "max_length"), [(True, 20), (False, 3)])
def test_it_is_a_loop_over_events(adaptive, max_length):
    torch.manual_seed(0)
    encoder = MIND(dim=5, num_interests=3, adaptive=adaptive, max_length=max_length).double()
    events, lengths = torch.randn(5, 9, 5).double(), [9, 8, 4, 3, 1]
    interests = encoder(events, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        count = max(1, min(3, int(math.log2(length)))) if adaptive else 3
        mapped = [encoder.bilinear(event).detach() for event in events[row, :length]]
        logits = [
            encoder.first_logits[min(length - 1 - i, max_length - 1), :count].tolist() for i in range(length)
        ]
        for _ in range(3):
            found = []
            for j in range(count):
                total = torch.zeros(5).double()
                for i in range(length):
                    total += math.exp(logits[i][j]) / sum(map(math.exp, logits[i])) * mapped[i]
                norm = float(total.norm())
                found.append(norm**2 / (1 + norm**2) * total / norm)
            for i in range(length):
                logits[i] = [b + float(u @ mapped[i]) for b, u in zip(logits[i], found, strict=True)]
        expected = torch.stack(found + [found[0]] * (3 - count))
        torch.testing.assert_close(interests[row].detach(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("length", "count"), [(1, 1), (3, 1), (4, 2), (7, 2), (8, 3), (16, 4), (64, 4)])
def test_the_number_of_interests_follows_the_length(length, count):
    torch.manual_seed(0)
    interests = MIND(dim=8)(torch.randn(1, 64, 8), torch.tensor([length]))[0]
    assert len(interests.unique(dim=0)) == count
    assert torch.equal(interests[count:], interests[:1].expand(4 - count, -1))


def test_the_first_logits_follow_the_seed_and_travel_with_the_weights():
    def made(seed):
        torch.manual_seed(seed)
        return MIND(dim=4)

    assert torch.equal(made(1).first_logits, made(1).first_logits)
    other = made(2)
    assert not torch.equal(other.first_logits, made(1).first_logits)
    other.load_state_dict(made(1).state_dict())
    assert torch.equal(other.first_logits, made(1).first_logits)
    assert "first_logits" not in dict(other.named_parameters())


def test_an_empty_history_has_interests_of_zeros():
    interests = MIND(dim=4)(torch.randn(2, 5, 4), torch.tensor([0, 5]))
    assert not interests[0].any() and interests[1].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_interests": 0}, "num_interests should be at least 1, received 0"),
        ({"iterations": 0}, "iterations should be at least 1, received 0"),
        ({"max_length": 0}, "max_length should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        MIND(dim=8, **arguments)
