"""KnownUsers: the log of all events given, and one user more who has none."""

from dataclasses import replace

import numpy as np
import pandas as pd

from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.vocabulary import Vocabulary


class KnownUsers:
    """Finds users by their own ids in the events known now.

    Args:
        preparation: how ids become rows.
        data: every event known now; its users need not have been there in training.
    """

    def __init__(self, preparation: Preparation, data: Events) -> None:
        log = preparation.log(data)
        self._users = Vocabulary(log.user_ids)
        # a user of the training data without an event here still has a vector: append users of the table
        extra = preparation.vocabularies["user"].index.difference(log.user_ids, sort=False)
        self._users = self._users.grow(extra)
        count = len(extra) + 1  # the last one is a user nobody knows
        self.log = replace(
            log,
            user_ids=self._users.index,
            user_rows=np.concatenate([log.user_rows, preparation.vocabularies["user"].rows(extra), [0]]),
            offsets=np.concatenate([log.offsets, np.full(count, log.offsets[-1])]),
        )

    def find(self, ids: pd.Series | list) -> np.ndarray:
        """(n,) int64 users of the log; the one nobody knows for an id that is not there."""
        rows = self._users.rows(ids)
        return np.where(rows > 0, rows - 1, len(self._users) - 1)

    def given(self, users: np.ndarray) -> np.ndarray:
        """The (n,) own ids of users of the log, all of them known."""
        return self._users.ids(users + 1)
