"""Requests: who asks for recommendations, each with the history that is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.known_items import id_series
from torchrec_ext.retrieval.known_users import KnownUsers


@dataclass(frozen=True, eq=False)
class Requests:
    """The n users or sessions that ask.

    Args:
        entity: what they are; also the name of their column in frames.
        ids: (n,) own ids, each there once.
        users: (n,) int64 users of the log.
        log: the known events.
    """

    entity: Literal["user", "session"]
    ids: np.ndarray
    users: np.ndarray
    log: EventLog

    def __len__(self) -> int:
        """How many ask."""
        return len(self.ids)

    def find(self, ids: pd.Series) -> np.ndarray:
        """(m,) int64 position among the requests of each of these ids; -1 for one that does not ask."""
        mine, theirs = pd.Series(self.ids), ids
        if not (pd.api.types.is_integer_dtype(mine) and pd.api.types.is_integer_dtype(theirs)):
            mine, theirs = _words(mine), _words(theirs)
        return pd.Index(mine).get_indexer(pd.Index(theirs)).astype(np.int64)


def requests_of_users(
    preparation: Preparation, data: Events, users: Sequence | np.ndarray | pd.Series
) -> Requests:
    """Users and their events; a user who is named twice asks once.

    Args:
        preparation: how ids became rows.
        data: every event known now.
        users: own ids; strings that spell integers find integer ids.

    Raises:
        InputError: if there is no user.
    """
    known = KnownUsers(preparation, data)
    wanted = id_series(users, "users").drop_duplicates().to_numpy()
    if not len(wanted):
        raise InputError("users is empty; give at least one id")
    found = known.find(wanted)
    ids = known.given(found, wanted)
    once = ~_words(pd.Series(ids)).duplicated().to_numpy()  # "7" and 7
    return Requests("user", ids[once], found[once], known.log)


def _words(ids: pd.Series) -> pd.Series:
    """Ids as strings: 7, "7" and 7.0, which a missing value makes of it, are one id."""
    return (ids.convert_dtypes() if pd.api.types.is_float_dtype(ids.dtype) else ids).astype(str)
