"""Preparation: how a user's ids and columns become rows and numbers, fitted once and kept with the model."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.as_written import shown
from torchrec_ext.data.column_features import apply_column, drops, fit_chosen, kept_events
from torchrec_ext.data.columns import codes_of, column_of, used, words_of
from torchrec_ext.data.event_log import LABEL, EventLog
from torchrec_ext.data.events import Events
from torchrec_ext.data.features import Fitted, FittedCategory, from_json, refers_to, to_json
from torchrec_ext.data.side_features import SideFeatures
from torchrec_ext.data.slices import FlatColumn
from torchrec_ext.data.trained_ids import TrainedIds
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError
from torchrec_ext.schema import DenseFeature, Entity, Feature, Schema, Table


@dataclass(frozen=True, eq=False)
class Preparation:
    """Vocabularies, fitted features and side features of a data set.

    Args:
        schema: the features and tables.
        vocabularies: the vocabulary of each table.
        sides: side features of the rows of the user and the item table.
        fitted: how the column of each feature becomes rows or numbers, learnt on the training part.
        trained: the users and items that training has learnt from.

    Example:
        >>> from torchrec_ext.data.sources.read import read_events
        >>> visits = pd.DataFrame({"user": ["ann", "bob"], "item": [70, 90], "day": ["Mon", "Sun"]})
        >>> events = read_events(visits, context=["day"])
        >>> preparation = Preparation.fit(events, training=np.array([True, True]))
        >>> preparation.schema.features_of("context"), preparation.log(events).context["context_day"].tolist()
        (('context_day',), [1, 2])
    """

    schema: Schema
    vocabularies: Mapping[str, Vocabulary]
    sides: Mapping[Entity, SideFeatures]
    fitted: Mapping[str, Fitted]
    trained: TrainedIds

    @classmethod
    def fit(cls, events: Events, training: np.ndarray, *, min_count: int = 1) -> "Preparation":
        """Gives every id a row, and learns all else from the training part.

        A chosen column becomes what ``events.options`` declare. Where they say nothing, one of floats becomes
        a number, one of lists several ids, any other one an id; its name is ``user_``, ``item_`` or
        ``context_`` and the column's.

        Args:
            events: all events; every id known now gets a row, under which its side features stand. What
                ``events.earlier`` holds is kept: no row moves, and no scale changes.
            training: (N,) bool, the events the model may learn from.
            min_count: an item with fewer events shares the unknown row.

        Raises:
            InputError: if no item has ``min_count`` events, or a column cannot be a feature.
        """
        known: dict[Entity, Vocabulary] = {
            "user": _vocabulary(events, "user", events.users),
            "item": _vocabulary(events, "item", events.items, min_count),
        }
        fitted: dict[str, Fitted] = {}
        features = [Feature(name, name, name, name) for name in known if name in events.columns]
        dense: list[DenseFeature] = []
        for entity, name, many, made in fit_chosen(events, training):
            events.release_pages()
            for feature, found in made.items():
                if events.earlier is not None:
                    found = _kept_fit(events.earlier.fitted[feature], found)
                refers = refers_to(found)
                if refers is not None and isinstance(found, FittedCategory):
                    found = replace(found, vocabulary=known[refers])
                fitted[feature] = found
                if found.width:
                    dense.append(DenseFeature(feature, entity, name, found.width))
                else:
                    features.append(Feature(feature, refers or feature, entity, name, many))
        vocabularies: dict[str, Vocabulary] = dict(known.items())
        for feature, found in fitted.items():
            if isinstance(found, FittedCategory) and found.vocabulary is not None and not refers_to(found):
                vocabularies[feature] = found.vocabulary
        rows: dict[str, int] = {name: len(vocabulary) for name, vocabulary in known.items()}
        rows |= {
            feature: found.rows for feature, found in fitted.items() if found.rows and not refers_to(found)
        }
        schema = Schema(tuple(Table(*pair) for pair in rows.items()), tuple(features), tuple(dense))
        sides = {
            entity: SideFeatures.fit(entity, getattr(events, f"{entity}s"), vocabulary, schema, fitted)
            for entity, vocabulary in known.items()
        }
        trained = TrainedIds.of(events, training, vocabularies)
        events.release_pages()
        return cls(schema, vocabularies, sides, fitted, trained)

    def log(self, events: Events, folder: Path | None = None) -> EventLog:
        """The events as rows and numbers, sorted by user and time.

        Args:
            events: those of :meth:`fit`, or later ones; simultaneous ones keep their order.
            folder: an empty one that the log is kept in, mapped into memory; None keeps it in memory.

        Raises:
            InputError: if a context column that the model reads is missing, or the ids of users are
                of another kind than in training.
        """
        ids, counts = pd.Index([-1]), np.array([len(events)])  # one user whom nobody knows
        if "user" in events.columns:
            ids, counts = events.distinct("user"), np.bincount(events.codes("user"))
            there = np.flatnonzero(counts)  # of some words no event is left
            ids, counts = self._users(ids[there]), counts[there]
        rows, order = self.vocabularies["user"].rows(ids), events.by_user_and_time
        events.release_pages()
        return EventLog.sort(ids, rows, counts, order, self._columns(events), folder)

    def _columns(self, events: Events) -> Iterator[tuple[str, FlatColumn]]:
        """Name and values of each column of the log, one at a time, for they may be large."""
        yield "items", self._items(events)
        events.release_pages()
        times = events.numbers("timestamp") if events.source.order == "time" else None
        if times is not None:
            yield "times", times.astype(np.float64, copy=False)
            events.release_pages()
        del times
        weights = events.target_weights()
        if weights is not None:
            yield "weights", weights.astype(np.float32)
        ratings = events.numbers("rating")
        if ratings is None and "type" in events.columns:
            ratings = weights  # where nothing was rated, the type of an event says how much it was liked
        if ratings is not None:
            yield "ratings", ratings  # as float64, or thresholds would not compare as they are written
            events.release_pages()
        del weights, ratings
        for name in events.labels:
            yield f"{LABEL}{name}", events.numbers(name)
            events.release_pages()
        for feature in self.schema.of("context"):
            column = events.column(feature.column)
            if column is None:
                raise InputError(
                    f"the events lack the column {feature.column!r} that the model reads as context; "
                    f"they have {', '.join(events.columns)}"
                )
            yield feature.name, self.context(feature, column)
            events.release_pages()

    def _items(self, events: Events) -> np.ndarray:
        if "item" not in events.columns:
            return np.zeros(len(events), np.int32)
        rows = self.vocabularies["item"].rows(events.distinct("item"))
        return np.append(rows, 0).astype(np.int32)[events.codes("item")]

    def _users(self, ids: pd.Index) -> pd.Index:
        """Ids of users in the kind of the training's, so that one user never has two ids."""
        known = self.vocabularies["user"]
        integers = pd.api.types.is_integer_dtype(ids.dtype)
        if known.integers and not integers:
            raise InputError(
                f"the ids of users are strings (such as {shown(ids[0])}), but were integers in training; "
                "convert them with astype('int64')"
            )
        return ids.astype(str) if integers and not known.integers else ids

    def context(self, feature: Feature | DenseFeature, values: pa.Array | pd.Series) -> FlatColumn:
        """N int32 rows of a table, lists of them, or float32 numbers of a context feature."""
        column = column_of(values) if isinstance(values, pd.Series) else values
        found = apply_column(self.fitted[feature.name], column)
        if not isinstance(found, np.ndarray):
            return found.cast(pa.large_list(pa.int32()))
        return found.astype(np.int32, copy=False) if isinstance(feature, Feature) else found

    def kept(self, events: Events) -> np.ndarray:
        """(N,) bool, which events may be learnt from: not those that lack a value and are to be dropped."""
        kept = np.ones(len(events), bool)
        for feature in self.schema.of("user", "item", "context"):
            fitted = self.fitted.get(feature.name)  # None of the ids themselves
            if drops(fitted):
                kept &= kept_events(events, feature.entity, feature.column, fitted)
        return kept

    def expect_same_rows(self, other: "Preparation", name: str) -> None:
        """Refuses data of a ``name`` whose ids have other rows than here, by the first table that differs."""
        for table, vocabulary in self.vocabularies.items() if other is not self else ():
            found = other.vocabularies.get(table)
            if found is None or not vocabulary.index.equals(found.index):
                raise InputError(
                    f"{name} gives the ids of table {table!r} other rows than the model was trained with; "
                    "split the same events in the same way, or train again"
                )

    def save(self, folder: Path) -> None:
        """Writes schema and what was fitted (JSON), vocabularies and side features (Parquet), trained ids."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schema.json").write_text(self.schema.to_json())
        fitted = {name: to_json(found) for name, found in self.fitted.items()}
        (folder / "features.json").write_text(json.dumps(fitted, indent=2))
        for name, vocabulary in self.vocabularies.items():
            vocabulary.save(folder / f"vocabulary_{name}.parquet")
        for entity, side in self.sides.items():
            side.save(folder / f"side_{entity}.parquet")
        self.trained.save(folder)

    @classmethod
    def load(cls, folder: Path) -> "Preparation":
        """Reads what :meth:`save` wrote."""
        schema = Schema.from_json((folder / "schema.json").read_text())
        paths = {table.name: folder / f"vocabulary_{table.name}.parquet" for table in schema.tables}
        vocabularies = {name: Vocabulary.load(path) for name, path in paths.items() if path.is_file()}
        entities: tuple[Entity, ...] = ("user", "item")
        sides = {entity: SideFeatures.load(folder / f"side_{entity}.parquet") for entity in entities}
        tables = {feature.name: feature.table for feature in schema.features}
        made = json.loads((folder / "features.json").read_text())
        fitted = {
            name: from_json(found, vocabularies.get(tables.get(name, name))) for name, found in made.items()
        }
        return cls(schema, vocabularies, sides, fitted, TrainedIds.load(folder))


def _kept_fit(earlier: Fitted, now: Fitted) -> Fitted:
    """What was fitted earlier; a category has the new values of training behind the known ones."""
    new = getattr(now, "vocabulary", None)
    if not isinstance(earlier, FittedCategory) or earlier.vocabulary is None or new is None:
        return earlier
    return replace(earlier, vocabulary=earlier.vocabulary.grow(new.index))


def _vocabulary(events: Events, entity: Entity, side: pd.DataFrame | None, min_count: int = 1) -> Vocabulary:
    """Ids of the events in order of first appearance, and behind them those of a side table if wanted."""
    if entity not in events.columns:
        return Vocabulary([])
    column = used(events.table[entity])
    codes, words = codes_of(column), words_of(column)
    counts = np.bincount(codes[codes >= 0])
    events.release_pages()
    often = words[counts >= min_count]
    if not len(often):
        most = counts.max(initial=0)
        raise InputError(f"min_count={min_count} leaves no {entity}; the most frequent one has {most} events")
    known = Vocabulary(often)
    if events.earlier is not None:
        known = events.earlier.vocabularies[entity].grow(known.index)
    if events.catalogue == "events" or side is None:
        return known
    return known.grow(side.loc[~side[entity].isin(words), entity])
