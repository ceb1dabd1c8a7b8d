"""SideFeatures: the categorical and numeric features of the rows of one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from torchrec_ext.data.column_features import apply_column
from torchrec_ext.data.columns import column_of
from torchrec_ext.data.features import Fitted
from torchrec_ext.data.lists import Lists, lists_of
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.schema import Entity, Feature, Schema


@dataclass(frozen=True, eq=False)
class SideFeatures:
    """Features by row; a row without any, the unknown row among them, has the unknown value.

    Args:
        lists: categorical feature -> rows of its table; each row of the entity has at least one.
        dense: numeric feature -> (R, width) float32; what stands for a missing one where it is missing.

    Example:
        >>> side = SideFeatures({"item_genres": Lists(np.array([0, 3, 1]), np.array([0, 1, 3]))}, {})
        >>> side.ids("item_genres", np.array([1, 0, 1]))
        (array([3, 1, 0, 3, 1]), array([2, 1, 2]))
    """

    lists: Mapping[str, Lists]
    dense: Mapping[str, np.ndarray]

    @classmethod
    def fit(
        cls,
        entity: Entity,
        table: pd.DataFrame | None,
        known: Vocabulary,
        schema: Schema,
        fitted: Mapping[str, Fitted],
    ) -> "SideFeatures":
        """Lays the table's columns along the rows of the entity's vocabulary.

        Args:
            entity: ``user`` or ``item``.
            table: one row an id, in a column named after the entity, and the columns of the features;
                of two rows of one id the first counts. None where the entity has no features.
            known: the vocabulary of the entity.
            schema: names the features.
            fitted: how each becomes rows or numbers.

        Raises:
            InputError: if a column holds something else than was fitted.
        """
        features = [f for f in schema.of(entity) if f.name != entity]
        if table is None or not features:
            return cls({}, {})
        row_of_id = known.rows(table[entity])
        # where each row's features stand in the table; the place after the last one for a row without any
        place = np.full(len(known), len(table))
        place[row_of_id[::-1]] = np.arange(len(table))[::-1]
        place[0] = len(table)
        lists: dict[str, Lists] = {}
        dense: dict[str, np.ndarray] = {}
        for feature in features:
            there = pa.array(np.arange(len(table) + 1), mask=np.arange(len(table) + 1) == len(table))
            found = apply_column(fitted[feature.name], column_of(table[feature.column]).take(there))
            if isinstance(found, pa.ListArray):
                lists[feature.name] = _along(place, lists_of(found))
            elif isinstance(feature, Feature):
                lists[feature.name] = Lists(
                    found[place].astype(np.int64, copy=False), np.arange(len(place) + 1)
                )
            else:
                dense[feature.name] = found[place]
        return cls(lists, dense)

    def ids(self, feature: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flat int64 values and (n,) int64 lengths of a categorical feature of (n,) rows."""
        found = self.lists[feature][rows]
        return found.values, found.lengths

    def save(self, path: Path) -> None:
        """Writes a Parquet file, a row for each row of the table."""
        columns: dict[str, pa.Array] = {
            name: pa.LargeListArray.from_arrays(pa.array(found.offsets), pa.array(found.values))
            for name, found in self.lists.items()
        }
        columns |= {
            name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            for name, values in self.dense.items()
        }
        pq.write_table(pa.table(columns), path)

    @classmethod
    def load(cls, path: Path) -> "SideFeatures":
        """Reads what :meth:`save` wrote."""
        lists: dict[str, Lists] = {}
        dense: dict[str, np.ndarray] = {}
        table = pq.read_table(path)
        for name in table.column_names:
            column = table.column(name).combine_chunks()
            if pa.types.is_fixed_size_list(column.type):
                dense[name] = column.flatten().to_numpy().reshape(-1, column.type.list_size)
            else:
                lengths = pc.list_value_length(column).to_numpy()
                lists[name] = Lists(column.flatten().to_numpy(), offsets_of(lengths))
        return cls(lists, dense)


def _along(place: np.ndarray, found: Lists) -> Lists:
    """Lists of the rows of a table, in the order of places in it; the unknown value where one is empty."""
    taken = found[place]
    lengths = np.maximum(taken.lengths, 1)
    values = np.zeros(lengths.sum(), np.int64)
    values[np.repeat(taken.lengths > 0, lengths)] = taken.values
    return Lists(values, offsets_of(lengths))
