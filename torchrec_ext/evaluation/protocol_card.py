"""protocol_card(): what figures were measured on, as plain values for a report."""

from dataclasses import asdict
from typing import Any

import numpy as np

from torchrec_ext.data.dataset import Dataset


def protocol_card(known: Dataset, targets: Dataset) -> dict[str, Any]:
    """Data and checksum, cleaning, order of events, split with dates, and what leaks.

    Args:
        known: the events that were known.
        targets: those that were predicted.

    Returns:
        Names and plain JSON values; times are ISO dates, and absent where the data has none.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> events = pd.DataFrame({"user": [1, 1, 1], "item": [70, 80, 90], "timestamp": [0, 86400, 172800]})
        >>> train, valid, test = leave_last_out(read_events(events))
        >>> card = protocol_card(train + valid, test)
        >>> card["predicted"], card["dates"]["test"]
        ('test', ['1970-01-03', '1970-01-03'])
    """
    source, report = targets.table.source, targets.report
    return {
        "data": source.name,
        "sha256": source.sha256,
        "files": dict(source.files),
        "rows": source.rows,
        "filters": [str(step) for step in source.steps],
        "order": source.ordering,
        "split": report.protocol,
        "parts": [asdict(part) for part in report.parts],
        "known": known.name,
        "predicted": targets.name,
        "dates": {part.name: dates for part in (known, targets) if (dates := _dates(part))},
        "leak": report.leak,
    }


def _dates(part: Dataset) -> list[str]:
    """First and last day of a part's events."""
    times = part.events.times
    if times is None or not len(times) or np.isnan(times).all():
        return []
    return [str(np.datetime64(int(end), "s").astype("M8[D]")) for end in (np.nanmin(times), np.nanmax(times))]
