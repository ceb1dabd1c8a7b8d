"""DataSettings: which events a recipe reads and how it splits them."""

from dataclasses import dataclass
from typing import Literal

import tyro

from torchrec_ext.command_line.parse import parse_pairs
from torchrec_ext.data import Dataset, Events, by_ratio, by_time, by_user, clean, leave_last_out, read_events
from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class DataSettings:
    """Which events are read and how they are split."""

    data: str = "ml-100k"
    """A known name (ml-100k, ml-1m, ml-10m, ml-20m, ml-25m), a folder in MovieLens' layout, or a CSV, TSV or
    Parquet file."""
    data_dir: str | None = None
    """Folder that holds the known data sets by name; unless told the folder TORCHREC_EXT_DATA names, or else
    ~/.cache/torchrec_ext, which is filled from GroupLens."""
    format: Literal["csv", "tsv", "parquet", "movielens"] | None = None
    """Format of the file, where its suffix does not tell."""
    columns: tuple[str, ...] = ()
    """What the file's columns are called: user=uid item=sku timestamp=t rating=stars. Common names are found
    unless told; rating= leaves one out."""
    users: str | None = None
    """File of the users' side features: CSV, TSV or Parquet with the users' column."""
    items: str | None = None
    """File of the items' side features: CSV, TSV or Parquet with the items' column."""
    user_features: tuple[str, ...] | None = None
    """Columns of the users' file that a model may use; all of them unless told, none of MovieLens' own."""
    item_features: tuple[str, ...] | None = None
    """Columns of the items' file that a model may use; all but title unless told, none of MovieLens' own."""
    context: tuple[str, ...] = ()
    """Columns of the events that describe the event itself and that a model may use."""
    min_user_events: int = 0
    """Leave out users with fewer events."""
    min_item_events: int = 0
    """Leave out items with fewer events."""
    split: Literal["leave_last_out", "by_time", "by_user", "by_ratio"] = "leave_last_out"
    """How train, validation and test part are made."""
    valid: float = 0.05
    """Share of the validation part, for by_user and by_ratio."""
    test: float = 0.1
    """Share of the test part, for by_user and by_ratio."""
    valid_from: float | None = None
    """First unix second of the validation part, for by_time."""
    test_from: float | None = None
    """First unix second of the test part, for by_time."""
    split_seed: int = 0
    """Of by_user and by_ratio."""

    def events(self) -> Events:
        """Reads and cleans the events."""
        events = read_events(
            self.data,
            format=self.format,
            columns=parse_pairs(self.columns, "columns"),
            users=self.users,
            items=self.items,
            user_features=self.user_features,
            item_features=self.item_features,
            context=self.context,
            data_dir=self.data_dir,
        )
        return clean(events, min_user_events=self.min_user_events, min_item_events=self.min_item_events)

    def parts(self, events: Events) -> tuple[Dataset, Dataset, Dataset]:
        """Training, validation and test part."""
        if self.split == "leave_last_out":
            return leave_last_out(events)
        if self.split == "by_time":
            if self.valid_from is None or self.test_from is None:
                raise InputError("--split by_time needs --valid-from and --test-from in unix seconds")
            return by_time(events, valid_from=self.valid_from, test_from=self.test_from)
        split = by_user if self.split == "by_user" else by_ratio
        return split(events, valid=self.valid, test=self.test, seed=self.split_seed)


Source = tyro.conf.OmitArgPrefixes[DataSettings]
"""DataSettings as a field of a recipe's settings, its own settings flat."""


def describe_parts(train: Dataset, valid: Dataset, test: Dataset) -> str:
    """One line: how many users and items there are, what a model may use, how many events each part has."""
    features = (
        *train.schema.features_of("user", "item", "context"),
        *train.schema.dense_of("user", "item", "context"),
    )
    users, items = (len(train.preparation.vocabularies[name]) - 1 for name in ("user", "item"))
    return (
        f"{users:,} users, {items:,} items; features {', '.join(features)}; "
        f"{len(train):,} events to train, {len(valid):,} to validate, {len(test):,} to test"
    )
