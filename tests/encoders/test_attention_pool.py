import math

import pytest
import torch

from torchrec_ext.embeddings import last_state
from torchrec_ext.encoders import AttentionPool
from torchrec_ext.errors import InputError


def test_two_words_by_hand():
    encoder = AttentionPool(dim=1)
    with torch.no_grad():
        encoder.inner.weight.fill_(1.0)
        encoder.inner.bias.zero_()
        encoder.score.weight.fill_(math.log(3) / math.tanh(2.0))
    words = torch.tensor([[[2.0], [0.0], [9.0]]])  # the third is padding
    # scores log 3 and 0: the first word has three quarters
    assert last_state(encoder(words, torch.tensor([2])), torch.tensor([2])).item() == pytest.approx(1.5)


def test_equals_a_softmax_of_each_prefix():
    torch.manual_seed(0)
    encoder = AttentionPool(dim=4, hidden=3)
    torch.nn.init.normal_(encoder.score.weight, std=3.0)
    events = torch.randn(3, 7, 4)
    states = encoder(events, torch.tensor([7, 7, 7]))
    for row in range(3):
        scores = [float(encoder.score(encoder.inner(2 * event).tanh()).detach()) for event in events[row]]
        for t in range(7):
            raised = [math.exp(score) for score in scores[: t + 1]]
            mean = sum(r / sum(raised) * e for r, e in zip(raised, events[row], strict=False))
            torch.testing.assert_close(states[row, t], mean)


def test_a_huge_score_stays_finite():
    encoder = AttentionPool(dim=2)
    torch.nn.init.constant_(encoder.score.weight, 1e4)
    assert encoder(torch.randn(2, 5, 2), torch.tensor([5, 5])).isfinite().all()


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="hidden should be at least 1, received 0"):
        AttentionPool(dim=8, hidden=0)
