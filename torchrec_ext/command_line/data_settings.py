"""DataSettings: which events a recipe reads and how it splits them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from torchrec_ext.command_line.parse import parse_pairs
from torchrec_ext.errors import InputError

# What reads data and shards takes seconds to import, so functions import it: --help needs none of it.
if TYPE_CHECKING:
    from torchrec_ext.data import Dataset, Events
    from torchrec_ext.data.filters.where import Wanted
    from torchrec_ext.schema import Entity

Split = Literal["leave_last_out", "leave_last_n", "by_time", "by_user", "by_ratio", "as_marked"]


@dataclass(frozen=True)
class DataSettings:
    """Which events are read and how they are split."""

    data: str = "ml-100k"
    """A known name: ml-100k, ml-1m, ml-10m, ml-20m or ml-25m, which are fetched, or one that is read from
    --data-dir, such as amazon-beauty, shop-tmall, news-ebnerd or video-kuairand; a .toml file that declares
    tables; a folder in MovieLens' layout; or a CSV, TSV, JSON Lines or Parquet file."""
    data_dir: str | None = None
    """Folder that holds the known data sets by name. By default the folder that TORCHREC_EXT_DATA names, else
    ~/.cache/torchrec_ext, which is filled from GroupLens."""
    prepared: str | None = None
    """Folder that keeps the data read, cleaned and split: made at first use and opened from then on, also for
    data that does not fit into memory. Prepare large data with one process before you start several."""
    format: Literal["csv", "tsv", "jsonl", "parquet", "criteo", "histories", "movielens"] | None = None
    """Format of the file. By default the one that its suffix names."""
    delimiter: str | None = None
    r"""Delimiter of text files, 1 to 4 bytes such as ';', '::' or '\t'. By default that of the format."""
    header: tuple[str, ...] = ()
    """Names of the columns of an events file without a header. By default its first line names them."""
    decimal: Literal[".", ","] = "."
    """Decimal mark of text files."""
    quote: str = '"'
    """Character around fields of text files; '' if quotes are ordinary characters."""
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    """Encoding of text files."""
    columns: tuple[str, ...] = ()
    """Names of the file's columns: user=uid item=sku timestamp=t rating=stars. By default common names are
    found; rating= leaves a column out."""
    users: str | None = None
    """File of the users' side features: CSV, TSV or Parquet with the users' column."""
    items: str | None = None
    """File of the items' side features: CSV, TSV or Parquet with the items' column."""
    user_features: tuple[str, ...] | None = None
    """Columns of the users' file that a model may use. By default all of --users, none of MovieLens."""
    item_features: tuple[str, ...] | None = None
    """Columns of the items' file that a model may use. By default all of --items but title, none of
    MovieLens."""
    context: tuple[str, ...] | None = None
    """Columns of the events that describe the event itself and that a model may use. By default those that a
    known name or a .toml file declares, none of another file."""
    catalogue: Literal["events", "all"] | None = None
    """Which items and users get a row: those of the events, or all, also those that only side tables have. By
    default as a .toml file declares, else events."""
    labels: tuple[str, ...] | None = None
    """Columns of numbers of the events that a ranker may predict, beside the rating. By default those that a
    known name or a .toml file declares."""
    weights: tuple[str, ...] = ()
    """Weight of the events of each type: view=1 purchase=4."""
    max_bad_share: float | None = None
    """Largest share of rows that may be set aside because a value is missing or cannot be read. By default as
    a .toml file declares, else 0.01."""
    rejected: str | None = None
    """Parquet file of the rows that are set aside. By default rejected.parquet in the run's folder, if there
    are any."""
    sessions_gap: float | None = None
    """Replaces users by sessions: a session ends where the next event of its user comes more than so many
    seconds later, such as 1800."""
    min_rating: float | None = None
    """Leave out events with a lower rating."""
    where: tuple[str, ...] = ()
    """Leave out events with other values: bounds such as rating=3..5, price=10.. or timestamp=2024-01-01..,
    allowed words such as country=de,at, of columns of the events or of the users' and the items' file."""
    duplicates: Literal["all", "first", "last"] = "all"
    """Which of the events of one user with one item to keep."""
    min_user_events: int = 0
    """Leave out users with fewer events."""
    min_item_events: int = 0
    """Leave out items with fewer events."""
    k_core: tuple[int, ...] = ()
    """Leave out users and items with fewer events until every one has as many: 5 for both, or 5 3 for 5 of a
    user and 3 of an item."""
    split: Split | None = None
    """How the training, validation and test part are made. By default leave_last_out, or by_ratio for rankers
    and where the events have no users."""
    valid_events: int = 1
    """Events of each user for the validation part, for leave_last_n."""
    test_events: int = 1
    """Events of each user for the test part, for leave_last_n."""
    valid: float = 0.05
    """Share of the validation part, for by_user and by_ratio."""
    test: float = 0.1
    """Share of the test part, for by_user and by_ratio."""
    valid_from: float | str | None = None
    """First instant of the validation part, for by_time: unix seconds, or a date such as 2024-01-31 or
    2024-01-31T12:00+01:00, in UTC if it has no zone."""
    test_from: float | str | None = None
    """First instant of the test part, for by_time, likewise."""
    split_gap: float = 0.0
    """Seconds before the validation and the test part whose events are left out, for by_time."""
    split_column: str = "split"
    """Column that marks each event as train, valid or test, for as_marked."""
    split_seed: int = 0
    """Seed of the draw, for by_user and by_ratio."""

    def events(self, rejected: Path | None = None) -> Events:
        """The events, read and cleaned.

        Args:
            rejected: file of the rows set aside where the settings name none; rank 0 alone writes it.
        """
        return self._read(rejected) if self.prepared is None else self._prepared_parts()[0].table

    def _read(self, rejected: Path | None, folder: Path | None = None) -> Events:
        from torchrec_ext.data import clean, read_events, sessions
        from torchrec_ext.distributed import world

        columns, where = parse_pairs(self.columns, "columns"), parse_filters(self.where)
        events = read_events(
            self.data,
            format=self.format,
            delimiter=self.delimiter and self.delimiter.replace("\\t", "\t"),
            header=self.header or True,
            decimal=self.decimal,
            quote=self.quote or None,
            encoding=self.encoding,
            columns={**{name: name for name in self._also_read(where)}, **columns},
            users=self.users,
            items=self.items,
            user_features=self.user_features,
            item_features=self.item_features,
            context=self.context,
            labels=self.labels,
            weights=parse_weights(self.weights),
            catalogue=self.catalogue,
            max_bad_share=self.max_bad_share,
            rejected=(self.rejected or rejected) if world()[0] == 0 else None,
            data_dir=self.data_dir,
            folder=folder,
            progress=folder is not None,
        )
        if self.sessions_gap is not None:
            events = sessions(events, self.sessions_gap)
        return clean(
            events,
            min_rating=self.min_rating,
            where=where,
            duplicates=self.duplicates,
            min_user_events=self.min_user_events,
            min_item_events=self.min_item_events,
            k_core=self.k_core[0] if len(self.k_core) == 1 else self.k_core or None,  # type: ignore[arg-type]
        )

    def parts(self, events: Events) -> tuple[Dataset, Dataset, Dataset]:
        """Training, validation and test part."""
        return self._split(events) if self.prepared is None else self._prepared_parts()

    def _prepared_parts(self) -> tuple[Dataset, Dataset, Dataset]:
        from torchrec_ext.command_line.prepared_data import prepared_parts
        from torchrec_ext.data.prepared import REJECTED

        assert self.prepared is not None
        folder = Path(self.prepared).expanduser()
        settings = replace(self, prepared=None, data_dir=None, rejected=None)
        return prepared_parts(
            folder,
            asdict(settings),
            lambda place: self._read(place.parents[1] / REJECTED, place),
            self._split,
        )

    def _split(self, events: Events, folder: Path | None = None) -> tuple[Dataset, Dataset, Dataset]:
        from torchrec_ext.data import as_marked, by_ratio, by_time, by_user, leave_last_n, leave_last_out

        chosen = self.resolved(events).split
        if chosen == "leave_last_out":
            return leave_last_out(events, folder=folder)
        if chosen == "leave_last_n":
            return leave_last_n(events, self.valid_events, self.test_events, folder=folder)
        if chosen == "as_marked":
            return as_marked(events, self.split_column, folder=folder)
        if chosen == "by_time":
            if self.valid_from is None or self.test_from is None:
                raise InputError("--split by_time needs --valid-from and --test-from: unix seconds or dates")
            return by_time(
                events,
                valid_from=self.valid_from,
                test_from=self.test_from,
                gap=self.split_gap,
                folder=folder,
            )
        split = by_user if chosen == "by_user" else by_ratio
        return split(events, valid=self.valid, test=self.test, seed=self.split_seed, folder=folder)

    def resolved(self, events: Events) -> DataSettings:
        """The settings with the split that :meth:`parts` makes of these events by default."""
        default: Split = "leave_last_out" if "user" in events.columns else "by_ratio"
        return replace(self, split=self.split or default)

    def _also_read(self, where: dict[str, Wanted]) -> Iterator[str]:
        """Columns that filters and the split need and that would not be read otherwise."""
        read = {"user", "item", "timestamp", "rating", "visitor", *(self.context or ())}
        marks = [self.split_column] if self.split == "as_marked" else []
        yield from (name for name in [*where, *marks] if name not in read)


Source = tyro.conf.OmitArgPrefixes[DataSettings]
"""DataSettings as a field of a recipe's settings; its flags have no prefix."""


def parse_filters(words: Sequence[str]) -> dict[str, Wanted]:
    """``("rating=3..", "country=de,at")`` as :func:`~torchrec_ext.data.clean` takes it.

    Example:
        >>> parse_filters(["rating=3..", "country=de,at"])
        {'rating': ('3', None), 'country': ['de', 'at']}
    """
    filters: dict[str, Wanted] = {}
    for name, value in parse_pairs(words, "where").items():
        low, between, high = value.partition("..")
        filters[name] = (low or None, high or None) if between else value.split(",")
    return filters


def parse_weights(words: Sequence[str]) -> dict[str, float]:
    """``("view=1", "purchase=4")`` as numbers; InputError for what is not a number of 0 or more.

    Example:
        >>> parse_weights(["view=0.5", "purchase=4"])
        {'view': 0.5, 'purchase': 4.0}
    """
    weights: dict[str, float] = {}
    for name, value in parse_pairs(words, "weights").items():
        try:
            weights[name] = float(value)
        except ValueError:
            weights[name] = math.nan
        if not 0 <= weights[name] < math.inf:
            raise InputError(
                f"--weights {name}={value} is not a number of 0 or more; give one, such as {name}=2"
            )
    return weights


def describe_parts(train: Dataset) -> str:
    """How many users and items there are, what a model may use, and what each part of the split holds."""
    entities: tuple[Entity, ...] = ("user", "item", "context")
    features = ", ".join((*train.schema.features_of(*entities), *train.schema.dense_of(*entities)))
    rows = {name: len(train.preparation.vocabularies[name]) - 1 for name in ("user", "item")}
    counts = [f"{n:,} {name}s" if n else f"no {name}s" for name, n in rows.items()]
    return f"{', '.join(counts)}; features {features or 'none'}\n{train.report}"
