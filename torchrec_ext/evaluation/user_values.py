"""UserValues: what an evaluation found for each user, kept so that runs can be compared later."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from torchrec_ext.data.columns import one_array
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import offsets_of, slice_positions
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation.popularity import item_counts

LISTED = 20
"""Items of a user's list, and newest events of the history, that are kept."""


@dataclass(frozen=True, eq=False)
class UserValues:
    """A row for each evaluated user and one for each item of the catalogue, as Arrow tables.

    Args:
        users: ``user``; of a retriever ``targets`` and their ``ranks`` (lists; a rank of 0 is a target that
            no list can hold, a target without an id is not known to the model), the metrics, ``list`` (the
            first items of the list) and ``answered_by`` (``model`` or ``popular``); of a ranker ``labels``
            and ``scores`` (lists) of the user's pairs; ``known``, the number of known events, ``history``,
            the newest of their items, and the columns of the table of users as ``user_...``.
        items: ``item``, ``events`` and ``users`` among the known events, and the columns of the table of
            items as ``item_...``.
    """

    users: pa.Table
    items: pa.Table

    def save(self, folder: str | Path, suffix: str = "") -> None:
        """Writes ``per_user.parquet`` and ``per_item.parquet``, each in one step.

        Args:
            folder: which exists.
            suffix: of the names, such as ``_valid``.
        """
        for name, table in (("per_user", self.users), ("per_item", self.items)):
            path = Path(folder) / f"{name}{suffix}.parquet"
            new = path.with_name(path.name + ".new")
            pq.write_table(table, new)
            new.rename(path)

    @classmethod
    def load(cls, folder: str | Path, suffix: str = "") -> "UserValues":
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: if a file is not there.
        """
        paths = [Path(folder) / f"{name}{suffix}.parquet" for name in ("per_user", "per_item")]
        for path in paths:
            if not path.is_file():
                raise InputError(
                    f"{folder} has no {path.name}: no evaluation was kept there; run recipes/evaluate.py "
                    f"--checkpoint {folder}, or write_evaluation after evaluate(..., per_user=True)"
                )
        return cls(*map(pq.read_table, paths))


def user_values(
    columns: Mapping[str, Any],
    users: np.ndarray,
    known: EventLog,
    targets: Dataset,
    preparation: Preparation,
    ranked: np.ndarray | None = None,
) -> UserValues:
    """Adds what is known of the users and of the items to the values of an evaluation.

    Args:
        columns: name -> (n,) values or lists of the users.
        users: (n,) int64 users of the log.
        known: the known events.
        targets: the part that was predicted.
        preparation: of the model.
        ranked: (I,) int64 rows of the items that were ranked; None takes the catalogue.
    """
    ends = known.offsets[users + 1]
    starts = known.recent(users, ends, LISTED)
    history = as_ids(known.items[slice_positions(starts, ends)], preparation)
    about = {
        "known": ends - known.offsets[users],
        "history": pa.LargeListArray.from_arrays(offsets_of(ends - starts), history),
        **_side_columns(targets.table.users, "user", known.user_ids[users]),
    }
    catalogue = preparation.trained.catalogue if ranked is None else ranked
    items, rows = known.target_items(), len(preparation.vocabularies["item"])
    pairs = np.unique(known.users[items > 0] * rows + items[items > 0])
    names = preparation.vocabularies["item"].ids(catalogue)
    of_items = {
        "item": names,
        "events": item_counts(items, rows)[catalogue],
        "users": item_counts(pairs % rows, rows)[catalogue],
        **_side_columns(targets.table.items, "item", pd.Index(names)),
    }
    by_user = {"user": np.asarray(known.user_ids[users]), **columns, **about}
    return UserValues(pa.table(by_user), pa.table(of_items))


def as_ids(rows: np.ndarray, preparation: Preparation) -> pa.Array:
    """The ids of (n,) item rows; null for row 0, an unknown item, and for -1, the end of a list."""
    ids = one_array(pa.array(preparation.vocabularies["item"].index))  # one that grew is in pieces
    return ids.take(pa.array(rows.astype(np.int64) - 1, mask=rows < 1))


def _side_columns(frame: pd.DataFrame | None, entity: str, ids: pd.Index) -> dict[str, pa.Array]:
    """The columns of a side table that hold words, numbers or lists of words, for these ids."""
    if frame is None:
        return {}
    found = frame.set_axis(frame[entity].astype(str)).reindex(ids.astype(str))
    columns = {}
    for name in (str(name) for name in frame if name != entity):
        column = pa.array(found[name], from_pandas=True)
        if _is_shown(column.type):
            columns[f"{entity}_{name}"] = column
    return columns


def _is_shown(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)
    return not (pa.types.is_nested(kind) or pa.types.is_null(kind))
