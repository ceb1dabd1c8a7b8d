import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.target_attention import SIM


def test_the_best_of_two_events_by_hand():
    attention = SIM(dim=1, top_k=1, heads=1, age_dim=1)
    with torch.no_grad():
        attention.search_target.weight.fill_(2.0)
        attention.search_event.weight.fill_(-1.0)
        attention.ages.weight.copy_(torch.arange(16.0).unsqueeze(1) + 10)
    # candidate 3: the scores are -6 times the event, -12 and -6, so the newer event is kept; the sum of all
    # is 2 * -12 + 1 * -6; its age is 1, which is in bucket 0
    interest = attention(torch.tensor([[3.0]]), torch.tensor([[[2.0], [1.0], [-9.0]]]), torch.tensor([2]))
    assert interest.tolist() == [[-30.0, 1.0, 10.0]]


def _paper(attention, target, events, lengths):
    """The interest of each row: a loop over events and heads."""
    rows = []
    for e_a, history, length in zip(target, events, lengths.tolist(), strict=True):
        scores = [float(attention.search_event(e) @ attention.search_target(e_a)) for e in history[:length]]
        row = sum((r * e for r, e in zip(scores, history, strict=False)), torch.zeros(attention.dim).double())
        best = sorted(range(length), key=lambda i: -scores[i])[: attention.top_k]
        kept = [torch.cat([history[i], attention.ages.weight[int(math.log2(length - i))]]) for i in best]
        heads = attention.target(e_a).view(attention.heads, -1)
        parts = [row]
        for head in range(attention.heads):
            total = torch.zeros(attention.dim + attention.age_dim).double()
            raised = [
                float((attention.event(z).view(attention.heads, -1)[head] @ heads[head]).exp()) for z in kept
            ]
            for weight, z in zip(raised, kept, strict=True):
                total += weight / sum(raised) * z
            parts.append(total)
        rows.append(torch.cat(parts))
    return torch.stack(rows)


@pytest.mark.parametrize("top_k", [2, 30])
def test_equals_a_loop_over_events(top_k):
    torch.manual_seed(0)
    attention = SIM(dim=3, top_k=top_k, heads=2, age_dim=4).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    target, events = torch.randn(5, 3).double(), torch.randn(5, 20, 3).double()
    lengths = torch.tensor([20, 0, 1, 2, 9])
    with torch.no_grad():
        expected = _paper(attention, target, events, lengths)
        torch.testing.assert_close(attention(target, events, lengths), expected, rtol=1e-10, atol=1e-10)


def test_attention_reads_the_events_that_were_found_alone():
    torch.manual_seed(0)
    attention = SIM(dim=3, top_k=2, heads=1)
    events = torch.randn(1, 9, 3, requires_grad=True)
    attention(torch.randn(1, 3), events, torch.tensor([9]))[:, 3:].sum().backward()
    assert events.grad.any(2).sum() == 2


@pytest.mark.parametrize("argument", ["top_k", "heads", "age_dim"])
def test_wrong_arguments_are_named(argument):
    with pytest.raises(InputError, match=f"{argument} should be at least 1, received 0"):
        SIM(dim=4, **{argument: 0})
