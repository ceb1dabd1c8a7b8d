"""What a run records of the data it was trained on."""

import dataclasses
import json
from typing import Any

from torchrec_ext.data import Events, SplitReport


def data_record(events: Events, split: SplitReport | None = None) -> dict[str, Any]:
    """Where events came from, how they were read, cleaned and split, and their number.

    Args:
        events: those that were split.
        split: the report of the split, if there is one.

    Returns:
        The fields of :class:`~torchrec_ext.data.Source`, ``ordering``, ``events`` (their number) and, for a
        split, ``protocol`` and ``split``, the call that made it; plain JSON values.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> events = read_events(pd.DataFrame({"user": [1, 1, 1], "item": [70, 80, 90]}))
        >>> record = data_record(events, leave_last_out(events)[0].report)
        >>> record["name"], record["events"], record["split"]["call"]
        ('DataFrame', 3, 'leave_last_out')
    """
    record = {
        **dataclasses.asdict(events.source),
        "ordering": events.source.ordering,
        "events": len(events),
    }
    if split is not None:
        record |= {"protocol": split.protocol, "split": split.call}
    return json.loads(json.dumps(record, default=str))
