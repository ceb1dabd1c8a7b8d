"""grow_preparation(): rows for the new ids and categories of later events, behind the known ones."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.column_features import fit_column
from torchrec_ext.data.columns import column_of
from torchrec_ext.data.events import Events
from torchrec_ext.data.features import Fitted, FittedCategory
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.side_features import SideFeatures
from torchrec_ext.data.slices import FlatColumn, join_rows, take_rows
from torchrec_ext.data.trained_ids import TrainedIds
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError
from torchrec_ext.schema import DenseFeature, Entity, Feature, Schema, Table
from torchrec_ext.training.evict import IdleRows

_ENTITIES: tuple[Entity, ...] = ("user", "item")


def grow_preparation(
    preparation: Preparation, events: Events, new: np.ndarray, idle: IdleRows | None = None
) -> Preparation:
    """The preparation of a trained model with rows for what later events bring; no row moves.

    Users, items and values of categories that the model does not know get rows behind the known ones. Scales,
    buckets and hashes stay as they were fitted. Where ``events`` have no table of users or of items, known
    rows keep their side features, and those of new rows are missing.

    Args:
        preparation: of the trained model.
        events: the later events, and perhaps earlier ones.
        new: (N,) bool, the later ones.
        idle: rows that new users and items take over first; their ids are then unknown.

    Returns:
        The grown preparation. Its trained ids are those of the new events alone.

    Raises:
        InputError: if the events lack a column that the model reads, or ids or values are of another kind
            than those that the model knows.
    """
    vocabularies = dict(preparation.vocabularies)
    for entity in _ENTITIES:
        if entity in events.columns:
            ids = events.distinct(entity)[events.occurring(entity, new)]
            free = (idle or {}).get(entity, np.zeros(0, np.int64))
            vocabularies[entity] = _taken_over(vocabularies[entity], ids, free).grow(ids)
            side = getattr(events, f"{entity}s")
            if side is not None and events.catalogue == "all":
                vocabularies[entity] = vocabularies[entity].grow(side[entity])
    fitted: dict[str, Fitted] = dict(preparation.fitted)
    for feature in preparation.schema.features:
        known = fitted.get(feature.name)  # None of the ids themselves
        if not isinstance(known, FittedCategory) or known.vocabulary is None:
            continue
        if feature.table != feature.name:  # its values are ids of users or items
            fitted[feature.name] = replace(known, vocabulary=vocabularies[feature.table])
            continue
        found = _values(feature, events, new)
        if found is not None:
            values = fit_column(feature.name, *found, known.options)[feature.name]
            assert isinstance(values, FittedCategory) and values.vocabulary is not None
            vocabularies[feature.name] = known.vocabulary.grow(values.vocabulary.index)
            fitted[feature.name] = replace(known, vocabulary=vocabularies[feature.name])
    schema = _with_rows(preparation.schema, vocabularies)
    sides = {
        entity: _side(preparation, entity, events, vocabularies[entity], schema, fitted)
        for entity in _ENTITIES
    }
    trained = TrainedIds.of(events, new, vocabularies)
    return Preparation(schema, vocabularies, sides, fitted, trained)


def _taken_over(vocabulary: Vocabulary, ids: pd.Index, free: np.ndarray) -> Vocabulary:
    """The vocabulary with those of the ids that it lacks in its free rows, as many as there are."""
    new = vocabulary.grow(ids).index[len(vocabulary) - 1 :][: len(free)]
    if not len(new):
        return vocabulary
    values = vocabulary.index.to_numpy(copy=True)
    values[free[: len(new)] - 1] = new.to_numpy()
    return Vocabulary(values)


def _values(feature: Feature, events: Events, new: np.ndarray) -> tuple[pa.Array, np.ndarray] | None:
    """A column that a feature is made of, and which of its values new events bring; None where it is not."""
    if feature.entity == "context":
        column = events.column(feature.column)
        if column is None:
            raise InputError(
                f"the events lack the column {feature.column!r} that the model reads as context; they have "
                f"{', '.join(events.columns)}"
            )
        return column, new
    table = _side_table(feature.entity, events, (feature,))
    if table is None:
        return None
    ids = events.distinct(feature.entity)[events.occurring(feature.entity, new)]
    learnt = table[feature.entity].isin(ids).to_numpy()
    return column_of(table[feature.column]), learnt


def _with_rows(schema: Schema, vocabularies: Mapping[str, Vocabulary]) -> Schema:
    """The schema with as many rows as the vocabularies of its tables have."""
    tables = [
        Table(table.name, len(vocabularies[table.name])) if table.name in vocabularies else table
        for table in schema.tables
    ]
    return replace(schema, tables=tuple(tables))


def _side_table(
    entity: Entity, events: Events, features: tuple[Feature | DenseFeature, ...]
) -> pd.DataFrame | None:
    """The table of users or items, if it has the columns of these features."""
    table: pd.DataFrame | None = getattr(events, f"{entity}s")
    if table is None or not {f.column for f in features} <= {*table.columns}:
        return None
    return table


def _side(
    preparation: Preparation,
    entity: Entity,
    events: Events,
    vocabulary: Vocabulary,
    schema: Schema,
    fitted: Mapping[str, Fitted],
) -> SideFeatures:
    """Side features by row; known rows of which the events have no table keep theirs."""
    features = tuple(f for f in schema.of(entity) if f.name != entity)
    known = preparation.sides[entity]
    rows = np.arange(len(vocabulary))
    before = preparation.vocabularies[entity].index
    same = vocabulary.index[: len(before)] == before
    rows[1:] *= np.append(same, np.zeros(len(vocabulary.index) - len(before), bool))  # new ones have none
    table = _side_table(entity, events, features)
    if table is None:
        return SideFeatures(*({n: take_rows(c, rows) for n, c in of.items()} for of in _both(known)))
    found = SideFeatures.fit(entity, table, vocabulary, schema, fitted)
    there = np.isin(np.arange(len(rows)), vocabulary.rows(table[entity]))
    rows = np.where(there, np.arange(len(rows)), len(rows) + rows)
    pairs = zip(_both(found), _both(known), strict=True)
    return SideFeatures(
        *({n: take_rows(join_rows(c, old[n]), rows) for n, c in new.items()} for new, old in pairs)
    )


def _both(side: SideFeatures) -> tuple[Mapping[str, FlatColumn], Mapping[str, FlatColumn]]:
    return side.categorical, side.dense
