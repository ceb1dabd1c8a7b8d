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
        in_data = Vocabulary(log.user_ids)
        # a user of the training data without an event here still has a vector: append users of the table
        extra = preparation.vocabularies["user"].index.difference(log.user_ids, sort=False)
        self._users = in_data.grow(extra)
        self.unknown_user = len(self._users) - 1
        """The user of the log who stands for every id that is neither in the data nor in the vocabulary."""
        self.log = replace(
            log,
            user_ids=self._users.index,
            user_rows=np.concatenate([log.user_rows, preparation.vocabularies["user"].rows(extra), [0]]),
            offsets=np.append(log.offsets, np.full(len(extra) + 1, log.offsets[-1])),
        )

    def find(self, ids: pd.Series | np.ndarray) -> np.ndarray:
        """(n,) int64 users of the log for (n,) own ids; ``unknown_user`` for an id that is not there."""
        rows = self._users.rows(ids)
        return np.where(rows > 0, rows - 1, self.unknown_user)

    def given(self, users: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """The (n,) own ids of users of the log as the data has them, or those in ``ids`` if unknown."""
        there = users != self.unknown_user
        if there.all():
            return self._users.ids(users + 1)
        named = ids.astype(object)
        named[there] = self._users.ids(users[there] + 1)
        return named
