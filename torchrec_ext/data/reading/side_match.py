"""How many ids of the events have a row in a side table."""

import logging
import warnings

import pandas as pd

from torchrec_ext.data.shown import shown
from torchrec_ext.data.source import SideMatch
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)


def side_match(entity: str, ids: pd.Index, table: str, rows: pd.Index) -> SideMatch:
    """Counts the ids of the events that have a row in a side table, and warns if that is less than half.

    Rows of the table whose id does not occur in the events do not count: a catalogue may be larger than a
    log.

    Args:
        entity: ``user`` or ``item``.
        ids: the distinct ids of the events.
        table: the name of the side table, for messages.
        rows: its ids.

    Raises:
        InputError: if there are events and none of their ids has a row.

    Example:
        >>> print(side_match("user", pd.Index([1, 2, 3]), "users.csv", pd.Index([1, 2, 9])))
        users.csv has a row for 2 of 3 users
    """
    found = SideMatch(table, entity, matched=int(ids.isin(rows).sum()), ids=len(ids))
    if not found.ids:
        return found
    if not found.matched:
        example = f"{shown(ids[0])} in the events" + (f", {shown(rows[0])} in the table" if len(rows) else "")
        raise InputError(
            f"{table} has a row for none of the {found.ids:,} {entity}s of the events; expected the same "
            f"ids, received {example}; write them alike, or leave the table out"
        )
    log.info("%s", found)
    if found.matched * 2 < found.ids:
        warnings.warn(
            f"{found} of the events ({found.matched / found.ids:.1%}); the features of the others, such as "
            f"{shown(ids[~ids.isin(rows)][0])}, are missing: check that both write ids alike",
            stacklevel=4,  # the caller of read_events, whose calls are recorded
        )
    return found
