"""What every EventStore promises."""

import numpy as np
import pytest

from torchrec_ext.errors import InputError
from torchrec_ext.serving import ServedEvent, SqliteEventStore


@pytest.fixture(params=["sqlite", "kafka"])
def store(request, tmp_path):
    if request.param == "kafka":
        yield request.getfixturevalue("open_kafka")()
    else:
        with SqliteEventStore(tmp_path / "events.sqlite") as store:
            yield store


def click(user="ann", item=1, timestamp=0.0, **fields):
    return ServedEvent(user, item, timestamp, **fields)


def test_a_repeated_id_has_its_first_position(store):
    assert store.append([click(id="a"), click(item=2), click(item=3, id="a"), click(id="b")]) == [1, 2, 1, 3]
    assert store.append([click(item=9, id="b"), click(id="c")]) == [3, 4]
    assert [event.item for _, event in store.after(0, 9)] == [1, 2, 1, 1]


def test_a_batch_with_something_else_is_refused_whole(store):
    with pytest.raises(InputError, match=r"events\[1\] should be a ServedEvent, received dict"):
        store.append([click(), {"user": "ann"}])
    assert store.position == 0 and store.append([]) == []


def test_ids_keep_their_type(store):
    store.append([click(7, "7"), click("7", 7), click(np.int64(7), np.int32(8))])
    assert [event.item for event in store.last(7, 9)] == ["7", 8]
    assert [event.item for event in store.last("7", 9)] == [7]
    assert store.last("07", 9) == store.last(8, 9) == []


def test_last_is_ordered_by_time_then_position(store):
    for item, timestamp in enumerate([5, 3, 5, 1, 4]):
        store.append([click(item=item, timestamp=timestamp), click("bob")])
    assert [event.item for event in store.last("ann", 9)] == [3, 1, 4, 0, 2]
    assert [event.item for event in store.last("ann", 2)] == [0, 2]
    assert store.last("ann", 0) == []


def test_after_pages_through_the_log(store):
    store.append([click(item=item) for item in range(5)])
    assert [(p, e.item) for p, e in store.after(1, 2)] == [(2, 1), (3, 2)]
    assert [p for p, _ in store.after(3, 99)] == [4, 5]
    assert store.after(5, 9) == store.after(0, 0) == []


@pytest.mark.parametrize("value", [-1, 1.0, True, 2**63, "1"])
def test_a_wrong_number_is_named(store, value):
    for name, call in [
        ("position", lambda: store.after(value, 1)),
        ("limit", lambda: store.after(0, value)),
        ("count", lambda: store.last("ann", value)),
    ]:
        with pytest.raises(InputError, match=f"^{name} should be a whole number of at least 0, received"):
            call()
    with pytest.raises(InputError, match="^user should be a string or an integer, received None"):
        store.last(None, 1)
