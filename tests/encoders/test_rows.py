import pytest
import torch

from torchrec_ext.encoders._rows import earlier, to_histories, to_rows, windows


def test_histories_become_rows_and_return():
    events = torch.arange(12.0).view(3, 2, 2)
    rows, since, place = to_rows(events, torch.tensor([1, 0, 2]))
    assert rows.tolist() == [[0.0, 1.0], [8.0, 9.0], [10.0, 11.0]]
    assert since.tolist() == [0, 0, 1] and place.tolist() == [0, 4, 5]
    back = to_histories(rows * 2, place, events)
    assert back.flatten(0, 1).tolist() == [[0, 2], [0, 0], [0, 0], [0, 0], [16, 18], [20, 22]]


def test_a_compiled_program_keeps_padding():
    events = torch.arange(12.0).view(3, 2, 2)

    def double(events, lengths):
        rows, since, place = to_rows(events, lengths)
        return to_histories(rows * 2, place, events), since

    doubled, since = torch.compile(double, backend="eager", fullgraph=True)(events, torch.tensor([1, 0, 2]))
    assert torch.equal(doubled, events * 2) and since.tolist() == [0, 1] * 3


def test_an_earlier_row_is_of_the_same_history():
    rows, since = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]), torch.tensor([0, 1, 0, 1, 2])
    assert earlier(rows, since, 1).flatten().tolist() == [0, 1, 0, 3, 4]
    assert earlier(rows, since, 2).flatten().tolist() == [0, 0, 0, 0, 3]
    assert earlier(rows, since, 9).flatten().tolist() == [0] * 5


@pytest.mark.parametrize("backs", [(2, 1), (7,), (4, 2), ()])
@pytest.mark.parametrize("count", [5, 1, 0])
def test_windows_are_earlier_rows_side_by_side(backs, count):
    rows = torch.randn(5, 3, dtype=torch.float64)[:count].requires_grad_()
    since = torch.tensor([0, 1, 0, 1, 2])[:count]
    expected = torch.cat([*(earlier(rows, since, back) for back in backs), rows], 1)
    seen = windows(rows, since, backs)
    torch.testing.assert_close(seen, expected)
    weights = torch.randn(seen.shape, dtype=torch.float64)
    slopes = [torch.autograd.grad((s * weights).sum(), rows)[0] for s in (seen, expected)]
    torch.testing.assert_close(*slopes)
