"""Preparation: how a user's ids and columns become rows and numbers, fitted once and kept with the model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.events import Events
from torchrec_ext.data.side_features import SideFeatures
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError
from torchrec_ext.schema import DenseFeature, Entity, Feature, Schema, Table


@dataclass(frozen=True)
class Preparation:
    """Vocabularies, side features and scales of a data set.

    Args:
        schema: the features and tables.
        vocabularies: the vocabulary of each table.
        sides: side features of the rows of the user and the item table.
        scales: mean and standard deviation of each numeric feature on the training part.
    """

    schema: Schema
    vocabularies: Mapping[str, Vocabulary]
    sides: Mapping[str, SideFeatures]
    scales: Mapping[str, tuple[float, float]]

    @classmethod
    def fit(cls, events: Events, training: np.ndarray, *, min_count: int = 1) -> "Preparation":
        """Learns vocabularies from the catalogue and scales from the training part.

        Args:
            events: all events; an id is no label, so every id known now gets a row.
            training: (N,) bool, the events the model may learn from.
            min_count: an item with fewer events shares the unknown row.
        """
        frame = events.frame
        vocabularies = {
            "user": Vocabulary.fit(frame["user"]),
            "item": Vocabulary.fit(frame["item"], min_count=min_count),
        }
        features = [Feature("user", "user", "user", "user"), Feature("item", "item", "item", "item")]
        dense: list[DenseFeature] = []
        scales: dict[str, tuple[float, float]] = {}
        seen = frame[training]
        for entity, table, column in _columns(events):
            name = f"{entity}_{column}"
            values = table[column]
            if pd.api.types.is_float_dtype(values.dtype):
                learnt = seen[column] if entity == "context" else values[table[entity].isin(seen[entity])]
                dense.append(DenseFeature(name, entity, column))
                scales[name] = (float(learnt.mean()), float(learnt.std(ddof=0)) or 1.0)
                continue
            many = len(values) > 0 and isinstance(values.iloc[0], (list, tuple, np.ndarray))
            vocabularies[name] = Vocabulary.fit(values.explode() if many else values)
            features.append(Feature(name, name, entity, column, many))
        schema = Schema(
            tuple(Table(name, len(v)) for name, v in vocabularies.items()), tuple(features), tuple(dense)
        )
        sides: dict[Entity, SideFeatures] = {
            "user": SideFeatures.fit("user", events.users, schema, vocabularies, scales),
            "item": SideFeatures.fit("item", events.items, schema, vocabularies, scales),
        }
        return cls(schema, vocabularies, sides, scales)

    def log(self, events: Events) -> EventLog:
        """The events as rows and numbers, sorted by user and time.

        Raises:
            InputError: if a context column that the model reads is missing.
        """
        frame = events.frame
        context: dict[str, np.ndarray] = {}
        for feature in (*self.schema.features, *self.schema.dense):
            if feature.entity != "context":
                continue
            if feature.column not in frame:
                raise InputError(
                    f"the events lack the column {feature.column!r} that the model reads as context; "
                    f"they have {', '.join(map(str, frame.columns))}"
                )
            context[feature.name] = self.context(feature, frame[feature.column])
        by = frame["timestamp"].to_numpy(np.float64) if "timestamp" in frame else None
        return EventLog.sort(
            frame["user"],
            self.vocabularies["user"].rows(frame["user"]),
            by,
            items=self.vocabularies["item"].rows(frame["item"]),
            times=by if events.source.order == "time" else None,
            ratings=frame["rating"].to_numpy(np.float32) if "rating" in frame else None,
            context=context,
        )

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
        return cls(
            schema,
            {t.name: Vocabulary.load(folder / f"vocabulary_{t.name}.parquet") for t in schema.tables},
            {e: SideFeatures.load(folder / f"side_{e}.parquet") for e in ("user", "item")},
            {k: (m, s) for k, (m, s) in json.loads((folder / "scales.json").read_text()).items()},
        )

    def context(self, feature: Feature | DenseFeature, values: pd.Series) -> np.ndarray:
        """(n,) rows or standardised numbers of a context feature."""
        if isinstance(feature, Feature):
            return self.vocabularies[feature.table].rows(values)
        mean, deviation = self.scales[feature.name]
        return np.nan_to_num((values.to_numpy(np.float32) - mean) / deviation).astype(np.float32)


def _columns(events: Events) -> list[tuple[Entity, pd.DataFrame, str]]:
    """Entity, table and name of every column that was chosen as a feature."""
    chosen: list[tuple[Entity, pd.DataFrame, str]] = [
        ("context", events.frame, c) for c in events.context_features
    ]
    if events.users is not None:
        chosen += [("user", events.users, c) for c in events.user_features]
    if events.items is not None:
        chosen += [("item", events.items, c) for c in events.item_features]
    return chosen
