"""By user: some users are held out, and served from what is known of them."""

from pathlib import Path

from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.splits.draw import draw
from torchrec_ext.data.splits.parts import TRAIN, Parts, make_parts
from torchrec_ext.data.splits.places import places_from_end


@recorded_split
def by_user(
    events: Events,
    *,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    min_count: int = 1,
    folder: Path | None = None,
) -> Parts:
    """Holds users out: nothing of theirs is learnt; their last event is the target, the others are given.

    The target is the last event that is not only read as history.

    Args:
        events: with timestamps, or in the order of their rows; simultaneous events keep the order of
            their rows.
        valid: share of the users for validation, at least one of them.
        test: share of the users for test, at least one of them.
        seed: of the draw.
        min_count: an item with fewer events shares the unknown row.
        folder: an empty one that the log is kept in, mapped into memory; None keeps it in memory.

    Returns:
        The training, validation and test part of one log; the events before the targets are
        ``given`` by the part of the targets.

    Raises:
        InputError: if the shares leave no training part.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": [1, 2, 3] * 4, "item": range(12)}))
        >>> train, valid, test = by_user(events)
        >>> [len(part) for part in (train, valid, test)], len(test.given)
        ([4, 1, 1], 3)
    """
    users = events.ids("user").used()
    part = draw(len(users.words), valid, test, seed)[users.codes]
    given = (part != TRAIN) & (places_from_end(events)[0] > 0)
    protocol = f"by user: {valid:g} valid, {test:g} test, seed {seed}, last event is the target"
    return make_parts(events, part, protocol, min_count=min_count, given=given, folder=folder)
