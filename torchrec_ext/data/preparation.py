"""Preparation: how a user's ids and columns become rows and numbers, fitted once and kept with the model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from torchrec_ext.data.coded import Coded, as_series, holds_lists
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.events import Events
from torchrec_ext.data.lists import Lists
from torchrec_ext.data.reading.ids import shown
from torchrec_ext.data.side_features import SideFeatures, flatten
from torchrec_ext.data.standardise import Scale, fit_scale, standardise
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError
from torchrec_ext.schema import DenseFeature, Entity, Feature, Schema, Table


@dataclass(frozen=True, eq=False)
class Preparation:
    """Vocabularies, side features and scales of a data set.

    Args:
        schema: the features and tables.
        vocabularies: the vocabulary of each table.
        sides: side features of the rows of the user and the item table.
        scales: mean and standard deviation of each numeric feature on the training part.

    Example:
        >>> from torchrec_ext.data.reading.read import read_events
        >>> visits = pd.DataFrame({"user": ["ann", "bob"], "item": [70, 90], "day": ["Mon", "Sun"]})
        >>> events = read_events(visits, context=["day"])
        >>> preparation = Preparation.fit(events, training=np.array([True, True]))
        >>> preparation.schema.features_of("context"), preparation.log(events).context["context_day"].tolist()
        (('context_day',), [1, 2])
    """

    schema: Schema
    vocabularies: Mapping[str, Vocabulary]
    sides: Mapping[Entity, SideFeatures]
    scales: Mapping[str, Scale]

    @classmethod
    def fit(cls, events: Events, training: np.ndarray, *, min_count: int = 1) -> "Preparation":
        """Learns vocabularies from the catalogue and scales from the training part.

        A chosen column of floats becomes a numeric feature, one of lists a feature of several ids, any
        other one a feature of one id; its name is ``user_``, ``item_`` or ``context_`` and the column's.

        Args:
            events: all events; an id is no label, so every id known now gets a row.
            training: (N,) bool, the events the model may learn from.
            min_count: an item with fewer events shares the unknown row.

        Raises:
            InputError: if no item has ``min_count`` events, or a column cannot be a feature.
        """
        users, items = events.ids("user").used(), events.ids("item").used()
        often = items.counts()
        vocabularies = {"user": Vocabulary(users.words), "item": Vocabulary(items.words[often >= min_count])}
        if len(vocabularies["item"]) == 1:
            raise InputError(
                f"min_count={min_count} leaves no item; the most frequent one has {often.max()} events"
            )
        features = [Feature("user", "user", "user", "user"), Feature("item", "item", "item", "item")]
        dense: list[DenseFeature] = []
        scales: dict[str, Scale] = {}
        for entity, table, column in _chosen_columns(events):
            name = f"{entity}_{column}"
            values = as_series(events.columns[column]) if table is None else table[column]
            if pd.api.types.is_float_dtype(values.dtype):
                learnt = training
                if table is not None:
                    trained = events.columns[entity]
                    assert isinstance(trained, Coded)
                    learnt = table[entity].isin(trained.take(training).used().words).to_numpy()
                scales[name] = fit_scale(values[learnt])
                dense.append(DenseFeature(name, entity, column))
                continue
            many = holds_lists(values)
            if many and entity == "context":
                raise InputError(
                    f"context feature {column!r} holds lists, which side features of users and items may; "
                    "give each event one value"
                )
            vocabularies[name] = _vocabulary(name, values, many)
            features.append(Feature(name, name, entity, column, many))
        tables = tuple(Table(name, len(v)) for name, v in vocabularies.items())
        schema = Schema(tables, tuple(features), tuple(dense))
        sides: dict[Entity, SideFeatures] = {
            "user": SideFeatures.fit("user", events.users, schema, vocabularies, scales),
            "item": SideFeatures.fit("item", events.items, schema, vocabularies, scales),
        }
        return cls(schema, vocabularies, sides, scales)

    def log(self, events: Events) -> EventLog:
        """The events as rows and numbers, sorted by user and time.

        Args:
            events: those of :meth:`fit`, or later ones; simultaneous ones keep their order.

        Raises:
            InputError: if a context column that the model reads is missing, or the ids of users are
                of another kind than in training.
        """
        context: dict[str, np.ndarray | Lists] = {}
        features: list[Feature | DenseFeature] = [*self.schema.features, *self.schema.dense]
        for feature in features:
            if feature.entity != "context":
                continue
            if feature.column not in events.columns:
                raise InputError(
                    f"the events lack the column {feature.column!r} that the model reads as context; "
                    f"they have {', '.join(map(str, events.columns))}"
                )
            column = events.columns[feature.column]
            if isinstance(column, Coded):
                of_words = np.append(self.context(feature, pd.Series(column.words)), 0)
                context[feature.name] = of_words.astype(np.int32)[column.codes]
            else:
                context[feature.name] = self.context(feature, as_series(column))
        by, ratings = events.numbers("timestamp"), events.numbers("rating")
        users, items = events.ids("user").used(), events.ids("item")
        users = Coded(users.codes, self._users(users.words))
        rows_of_items = np.append(self.vocabularies["item"].rows(items.words), 0).astype(np.int32)
        return EventLog.sort(
            users,
            self.vocabularies["user"].rows(users.words),
            by,
            items=rows_of_items[items.codes],
            times=by.astype(np.float64) if by is not None and events.source.order == "time" else None,
            ratings=None if ratings is None else ratings.astype(np.float32),
            context=context,
        )

    def context(self, feature: Feature | DenseFeature, values: pd.Series) -> np.ndarray:
        """(n,) int64 rows or standardised float32 numbers of a context feature."""
        if isinstance(feature, Feature):
            return self.vocabularies[feature.table].rows(values)
        return standardise(values, self.scales[feature.name])

    def save(self, folder: Path) -> None:
        """Writes schema, scales (JSON), vocabularies and side features (Parquet) into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schema.json").write_text(self.schema.to_json())
        (folder / "scales.json").write_text(json.dumps(dict(self.scales), indent=2))
        for name, vocabulary in self.vocabularies.items():
            vocabulary.save(folder / f"vocabulary_{name}.parquet")
        for entity, side in self.sides.items():
            side.save(folder / f"side_{entity}.parquet")

    @classmethod
    def load(cls, folder: Path) -> "Preparation":
        """Reads what :meth:`save` wrote."""
        schema = Schema.from_json((folder / "schema.json").read_text())
        entities: tuple[Entity, ...] = ("user", "item")
        return cls(
            schema,
            {t.name: Vocabulary.load(folder / f"vocabulary_{t.name}.parquet") for t in schema.tables},
            {entity: SideFeatures.load(folder / f"side_{entity}.parquet") for entity in entities},
            {k: (m, s) for k, (m, s) in json.loads((folder / "scales.json").read_text()).items()},
        )

    def _users(self, ids: pd.Index) -> pd.Index:
        """Ids of users in the kind of the training's, so that one user never has two ids."""
        known = self.vocabularies["user"]
        integers = pd.api.types.is_integer_dtype(ids.dtype)
        if integers == known.integers:
            return ids
        if integers:
            return ids.astype(str)
        raise InputError(
            f"the ids of users are strings (such as {shown(ids[0])}), but were integers in training; "
            "convert them with astype('int64')"
        )


def _chosen_columns(events: Events) -> list[tuple[Entity, pd.DataFrame | None, str]]:
    """Entity, table (None for the events' own) and name of every column that was chosen as a feature."""
    chosen: list[tuple[Entity, pd.DataFrame | None, str]] = [
        ("context", None, c) for c in events.context_features
    ]
    if events.users is not None:
        chosen += [("user", events.users, c) for c in events.user_features]
    if events.items is not None:
        chosen += [("item", events.items, c) for c in events.item_features]
    return chosen


def _vocabulary(name: str, values: pd.Series, many: bool) -> Vocabulary:
    try:
        return Vocabulary.fit(flatten(values, many)[0])
    except InputError as error:
        raise InputError(f"feature {name}: {error}") from None
