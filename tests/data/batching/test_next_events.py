"""NextEvents: every next event is the target of exactly one position of one window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import START, event_rows, read
from torchrec_ext.batch import Inputs
from torchrec_ext.data import by_user, leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.errors import InputError


def examples(train, length, kind="catalogue"):
    counts = np.bincount(train.events.items, minlength=train.schema.table("item").rows)[1:]
    return NextEvents(train, Inputs(max_length=length, candidates=True), Candidates(kind, counts, 3))


def windows(found, chosen):
    """Input items and target items of windows, as the batch has them."""
    batch = found.batch(np.array(chosen), 1.0, np.random.default_rng(0))
    history = batch.sequences.to_dict()["history"]
    rows = batch.sequences.to_dict()["candidates"].values().numpy()
    labels = batch.labels.numpy()
    targets = np.where(labels < 0, 0, rows[labels])
    lengths = history.lengths().tolist()
    return [
        (inputs.tolist(), list(part))
        for inputs, part in zip(
            history.values().split(lengths), np.split(targets, np.cumsum(lengths)[:-1]), strict=True
        )
    ]


def test_windows_by_hand():
    # a trains on the items 1 to 6, b on one and c on two; the item n gets row n
    rows = [("a", n, START + n) for n in range(1, 9)]
    rows += [("b", 1, START), ("c", 2, START), ("c", 5, START + 1)]
    found = examples(leave_last_out(read(rows))[0], length=3)
    assert found.sizes().tolist() == [2, 3, 1]
    assert windows(found, [0, 1, 2]) == [([1, 2], [2, 3]), ([3, 4, 5], [4, 5, 6]), ([2], [5])]
    assert [found.weight(np.array(w)) for w in ([0], [1], [2, 0])] == [2, 3, 3]


def test_unknown_targets_have_no_label_and_windows_of_them_are_left_out():
    rows = [("a", item, START + n) for n, item in enumerate((1, 2, 1, 1, 3, 4, 9, 9))]
    train = leave_last_out(read(rows), min_count=2)[0]  # 2, 3 and 4 are rare
    assert train.events.items.tolist() == [1, 0, 1, 1, 0, 0]
    # the windows are [1], [0, 1], [1, 0] and the targets [0], [1, 1], [0, 0]; or there is one window
    for length, cut in ((2, ([0, 1], [1, 1])), (5, ([1, 0, 1, 1, 0], [0, 1, 1, 0, 0]))):
        found = examples(train, length)
        assert windows(found, [0]) == [cut] and found.sizes().tolist() == [length]
        assert found.weight(np.array([0])) == 2


def test_nothing_is_learnt_of_held_out_users():
    rows = [(user, item, START + item) for user in "abcd" for item in (1, 2, 3)]
    train, valid, test = by_user(read(rows), valid=0.25, test=0.25)
    found = examples(train, length=9)
    held_out = set(train.log.users[[*valid.rows, *test.rows, *valid.history_only, *test.history_only]])
    assert len(held_out) == 2
    assert set(found.users.tolist()) == set(range(4)) - held_out


def test_there_must_be_something_to_learn():
    train = leave_last_out(read([("a", n, START + n) for n in (1, 2, 3)]))[0]
    with pytest.raises(InputError, match="no user of the train part has a known item after another event"):
        examples(train, length=2)


@settings(deadline=None)
@given(event_rows(), st.integers(1, 4), st.sampled_from(["catalogue", "sampled", "in_batch"]))
def test_every_next_event_is_learnt_once(rows, length, kind):
    try:
        train = leave_last_out(read(rows))[0]
        found = examples(train, length, kind)
    except InputError:
        return
    log = train.events
    histories = [log.items[s:e].tolist() for s, e in zip(log.offsets[:-1], log.offsets[1:], strict=True)]
    expected = sorted((u, a, b) for u, h in enumerate(histories) for a, b in zip(h[:-1], h[1:], strict=True))
    cut = windows(found, range(len(found.sizes())))
    learnt = [(user, a, b) for user, w in zip(found.users, cut, strict=True) for a, b in zip(*w, strict=True)]
    assert sorted(learnt) == expected
    assert found.weight(np.arange(len(cut))) == len(expected)
    assert [len(inputs) for inputs, _ in cut] == found.sizes().tolist()
    assert 1 <= found.sizes().min() <= found.sizes().max() <= length
    for user, (inputs, targets) in zip(found.users, cut, strict=True):
        text = ",".join(map(str, histories[user]))
        assert ",".join(map(str, [*inputs, targets[-1]])) in text  # a slice, oldest first
    first = np.append(True, np.diff(found.users) > 0)
    assert (found.sizes()[~first] == length).all()
