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


def test_the_newest_matching_event_by_hand():
    attention = SIM(dim=1, top_k=1, heads=1, age_dim=1, match="item_category")
    with torch.no_grad():
        attention.ages.weight.copy_(torch.arange(16.0).unsqueeze(1) + 10)
    events = torch.tensor([[[2.0], [1.0], [5.0], [-9.0]]]).expand(2, -1, -1)
    matches = torch.tensor([[True, True, False, True], [False, False, False, True]])
    # the 1 is the second event of three, so its age is 2, in bucket 1; of the second row no event matches
    interest = attention(torch.ones(2, 1), events, torch.tensor([3, 3]), matches)
    assert interest.tolist() == [[1.0, 11.0], [0.0, 0.0]]
    with pytest.raises(InputError, match="matches_BT is None, but match='item_category' searches"):
        attention(torch.ones(2, 1), events, torch.tensor([3, 3]))


def _paper(attention, target, events, lengths, matches):
    """The interest of each row: a loop over events and heads."""
    rows = []
    for e_a, history, length, own in zip(target, events, lengths.tolist(), matches, strict=True):
        if attention.match is not None:
            best = [i for i in reversed(range(length)) if own[i]][: attention.top_k]
            rows.append(torch.cat(_exact_search(attention, e_a, history, length, best)))
            continue
        scores = [float(attention.search_event(e) @ attention.search_target(e_a)) for e in history[:length]]
        row = sum((r * e for r, e in zip(scores, history, strict=False)), torch.zeros(attention.dim).double())
        best = sorted(range(length), key=lambda i: -scores[i])[: attention.top_k]
        rows.append(torch.cat([row, *_exact_search(attention, e_a, history, length, best)]))
    return torch.stack(rows)


def _exact_search(attention, e_a, history, length, best):
    """What each head reads of the best events."""
    kept = [torch.cat([history[i], attention.ages.weight[int(math.log2(length - i))]]) for i in best]
    heads = attention.target(e_a).view(attention.heads, -1)
    parts = []
    for head in range(attention.heads):
        total = torch.zeros(attention.dim + attention.age_dim).double()
        raised = [
            float((attention.event(z).view(attention.heads, -1)[head] @ heads[head]).exp()) for z in kept
        ]
        for weight, z in zip(raised, kept, strict=True):
            total += weight / sum(raised) * z
        parts.append(total)
    return parts


@pytest.mark.parametrize("match", [None, "item_category"])
@pytest.mark.parametrize("top_k", [2, 30])
def test_equals_a_loop_over_events(top_k, match):
    torch.manual_seed(0)
    attention = SIM(dim=3, top_k=top_k, heads=2, age_dim=4, match=match).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    target, events = torch.randn(5, 3).double(), torch.randn(5, 20, 3).double()
    lengths = torch.tensor([20, 0, 1, 2, 9])
    with torch.no_grad():
        matches = torch.rand(5, 20) < 0.4
        expected = _paper(attention, target, events, lengths, matches)
        found = attention(target, events, lengths, matches)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


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
