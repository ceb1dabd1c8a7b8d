"""Events: the rows of who did what when, with side features and where they came from."""

import dataclasses
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.by_user_and_time import by_user_and_time
from torchrec_ext.data.columns import as_series, codes_of, kind_of, numbers_of, one_array, used, words_of
from torchrec_ext.data.description import Description, describe
from torchrec_ext.data.features import Fitted, Options, Time
from torchrec_ext.data.mapped_file import release_pages
from torchrec_ext.data.source import Source
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError
from torchrec_ext.schema import expect_names


class Earlier(NamedTuple):
    """What a preparation has learnt of earlier events, of each table and feature, and later ones keep."""

    vocabularies: Mapping[str, Vocabulary]
    fitted: Mapping[str, Fitted]


@dataclass(frozen=True, eq=False)
class Events:
    """N rows of who did what when, in the order they were read, and what is known of users and items.

    Args:
        table: columns ``user`` and ``item`` (absent where the data has none), if known ``timestamp``
            (int64 or float64 seconds, or nanoseconds as ``timestamp[ns]``), ``rating`` (float64) and ``type``
            (view, click, purchase, ...), then other columns of the events; see
            :mod:`~torchrec_ext.data.columns` for their types.
        source: where the rows came from.
        users: one row a user: column ``user`` and side features.
        items: one row an item: column ``item``, side features and perhaps ``title``, which is only shown.
        user_features: the columns of ``users`` a model may use.
        item_features: the columns of ``items`` a model may use.
        context_features: the columns that describe the event itself and that a model may use.
        labels: columns of numbers that further labels of a ranker are made of, beside ``rating``.
        options: how a feature (``item_price``) becomes a model's input, where its values alone do not tell.
        weights: how much an event of each type counts.
        catalogue: ``all`` gives users and items of the side tables a row, too, if they have no event, and
            offers every item that has a row; ``events`` offers those that training has learnt from.
        earlier: what is not learnt anew; see :func:`~torchrec_ext.data.append`.
        mapped: the file that the columns are mapped from, or None.

    Raises:
        InputError: if a chosen feature is not there.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": ["ann", "bob"], "item": [7, 7]}))
        >>> events.codes("item"), events.frame["user"].tolist()
        (array([0, 0], dtype=int32), ['ann', 'bob'])
    """

    table: pa.Table
    source: Source
    users: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    user_features: tuple[str, ...] = ()
    item_features: tuple[str, ...] = ()
    context_features: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    options: Mapping[str, Options] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    catalogue: Literal["events", "all"] = "events"
    earlier: Earlier | None = None
    mapped: mmap.mmap | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        own = {"user", "item", "rating"}
        if not isinstance(self.options.get("context_timestamp"), Time):
            own.add("timestamp")  # a time is not a number a model could use, unless something is made of it
        for kind, table, chosen, not_features in (
            ("user", self.users, self.user_features, {"user"}),
            ("item", self.items, self.item_features, {"item", "title"}),
            ("context", self.columns, self.context_features, own),
        ):
            features = [] if table is None else [str(name) for name in table if name not in not_features]
            for name in chosen:
                if name in features:
                    continue
                there = f"; there are {', '.join(features) or 'none'}"
                if table is None:
                    there += f"; hand in a table of {kind}s"
                elif name in table:
                    raise InputError(f"{name!r} cannot be used as {kind} feature{there}")
                raise InputError(f"no {kind} feature {name!r}{there}")
        for name in self.labels:
            if self.numbers(name) is None:
                raise InputError(
                    f"labels names {name!r}, which is not a column of numbers of the events; they have "
                    f"{', '.join(self.columns)}: declare its kind as number"
                )

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.table.column_names)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "mapped": None}  # a copy in another process has its columns in memory

    def release_pages(self) -> None:
        """Gives back the memory of what was read of a mapped file; it is read again when it is needed."""
        if self.mapped is not None:
            release_pages(self.mapped)
            pa.default_memory_pool().release_unused()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The columns as pandas shows them, ids as given; index 0 to N-1."""
        return pd.DataFrame({name: as_series(self.table[name]) for name in self.columns}, copy=False)

    def column(self, name: str) -> pa.Array | None:
        """A column in one piece; None where there is none."""
        return one_array(self.table[name]) if name in self.columns else None

    def codes(self, name: str) -> np.ndarray:
        """(N,) int32 index of each value of a column in :meth:`distinct`, -1 for a missing one."""
        return codes_of(self._dictionary(name))

    def distinct(self, name: str) -> pd.Index:
        """The dictionary of a column: int64 or strings; after a filter some stand for no event."""
        return words_of(self._dictionary(name))

    def ids(self, entity: Literal["user", "item"]) -> pd.Index:
        """The users or items that have an event, in order of first appearance."""
        return words_of(used(self._dictionary(entity)))

    def occurring(self, name: str, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(words,) bool, which of :meth:`distinct` stand in these rows; (0,) where the data has none."""
        if name not in self.columns:
            return np.zeros(0, bool)
        found = np.zeros(len(self._dictionary(name).dictionary) + 1, bool)  # the last is of missing values
        found[self.codes(name)[rows]] = True
        return found[:-1]

    def counts(self, name: str) -> pd.Series:
        """Number of events of each value that has any, descending; the index is that in :meth:`distinct`."""
        codes = self.codes(name)
        counts = pd.Series(np.bincount(codes[codes >= 0]))
        return counts[counts > 0].sort_values(ascending=False, kind="stable")

    def _dictionary(self, name: str) -> pa.Array:
        found = self.column(name)
        if found is None or kind_of(found) != "category":
            raise InputError(
                f"{self.source.name} has no column of {name}s, which this needs; name it in columns"
            )
        return found

    def numbers(self, column: str) -> np.ndarray | None:
        """(N,) numbers such as ``timestamp`` or ``rating``; None where there are none."""
        found = self.column(column)
        return None if found is None or kind_of(found).startswith("categor") else numbers_of(found)

    @property
    def ticks(self) -> np.ndarray | None:
        """(N,) times or places as they are kept, int64 or float64, which order and compare exactly."""
        found = self.column("timestamp")
        if found is None:
            return None
        return (found.cast(pa.int64()) if pa.types.is_timestamp(found.type) else found).to_numpy()

    @property
    def ticks_per_second(self) -> int:
        """1 where :attr:`ticks` are seconds, 1,000,000,000 where they are nanoseconds."""
        found = self.column("timestamp")
        return 10**9 if found is not None and pa.types.is_timestamp(found.type) else 1

    @cached_property
    def by_user_and_time(self) -> np.ndarray:
        """(N,) int32 rows in the order of users (that of :meth:`distinct`) and times, sorted once."""
        known = "user" in self.columns
        return by_user_and_time(self.codes("user") if known else np.zeros(len(self), np.int32), self.ticks)

    def target_weights(self) -> np.ndarray | None:
        """(N,) float64, how much each event counts when it is learnt or predicted; None where each counts 1.

        That is the weight of its type, 1 without one; 0 without an item where others have one.
        """
        weights = None
        if "type" in self.columns:
            of_types = [self.weights.get(str(word), 1.0) for word in self.distinct("type")]
            weights = np.array([*of_types, 1.0])[self.codes("type")]
        if "item" in self.columns and self.table["item"].null_count:
            weights = np.ones(len(self)) if weights is None else weights
            weights[self.codes("item") < 0] = 0
        return weights

    def is_target(self) -> np.ndarray:
        """(N,) bool, which events may be learnt or predicted; those of weight 0 are only read as history."""
        weights = self.target_weights()
        return np.ones(len(self), bool) if weights is None else weights > 0

    def count(self, entity: Literal["user", "item"]) -> int:
        """Number of distinct users or items of the events; 0 where the data has none."""
        return int(self.occurring(entity).sum())

    def take(self, mask: np.ndarray) -> "Events":
        """The events where ``mask``, (N,) bool, is true, in the same order; side tables and source stay."""
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self),):
            raise InputError(f"mask should be bool ({len(self)},), received {mask.dtype} {mask.shape}")
        return dataclasses.replace(self, table=self.table.filter(pa.array(mask)))

    def with_numbers(self, columns: Mapping[str, np.ndarray]) -> "Events":
        """The same events with other or more columns of (N,) numbers by name, NaN for a missing one."""
        table = self.table
        for name, values in columns.items():
            if np.shape(values) != (len(self),):
                raise InputError(f"{name} should be ({len(self)},) numbers, received {np.shape(values)}")
            column = pa.array(np.asarray(values, np.float64), from_pandas=True)
            if name in table.column_names:
                table = table.set_column(table.column_names.index(name), name, column)
            else:
                table = table.append_column(name, column)
        return dataclasses.replace(self, table=table)

    def select_features(
        self,
        *,
        user: Sequence[str] | None = None,
        item: Sequence[str] | None = None,
        context: Sequence[str] | None = None,
    ) -> "Events":
        """The same events with other columns of ``users``, ``items`` and the events chosen as features.

        None leaves a choice as it is, () chooses none. An InputError for a column that is not there.
        """
        changed: dict[str, Any] = {}
        for entity, names in (("user", user), ("item", item), ("context", context)):
            expect_names(entity, names)
            if names is not None:
                changed[f"{entity}_features"] = tuple(names)
        return dataclasses.replace(self, **changed)

    def describe(self) -> Description:
        """Counts and distributions, to print or to draw, see :func:`~torchrec_ext.data.describe`."""
        return describe(self)

    def summary(self) -> str:
        """One line: how many events, users and items, which features, what side tables hold, the order."""
        chosen = (*self.user_features, *self.item_features, *self.context_features)
        return (
            f"{self.source.name}: {len(self):,} events of {self.count('user'):,} users and "
            f"{self.count('item'):,} items; features {', '.join(chosen) or 'none'}; "
            f"{''.join(f'{side}; ' for side in self.source.sides)}{self.source.ordering}"
        )


def expect_events(data: object) -> None:
    """Refuses what is not :class:`Events` with an InputError."""
    if not isinstance(data, Events):
        raise InputError(
            f"data should be Events, received {type(data).__name__}; give what data.read_events returned"
        )


def expect_times(events: Events, wanted_by: str, instead: str) -> np.ndarray:
    """(N,) ``ticks`` of the events, an InputError with what to do instead if they are not times."""
    if events.source.order != "time" or events.ticks is None:
        raise InputError(f"{wanted_by} needs times, but {events.source.ordering}; {instead}")
    return events.ticks
