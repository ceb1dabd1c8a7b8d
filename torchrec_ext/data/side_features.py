"""SideFeatures: the categorical and numeric features of the rows of one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from torchrec_ext.data.column_features import apply_column
from torchrec_ext.data.columns import column_of, kind_of, numbers_of, one_array
from torchrec_ext.data.features import Fitted
from torchrec_ext.data.slices import FlatColumn, flat_and_lengths, join_rows, offsets_of, take_rows
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.schema import Entity, Feature, Schema


@dataclass(frozen=True, eq=False)
class SideFeatures:
    """Features by row; a row without any, the unknown row among them, has the unknown value.

    Args:
        categorical: feature -> (R,) int64 rows of its table, or R lists of them, each of one at least.
        dense: numeric feature -> (R, width) float32; what stands for a missing one where it is missing.
    """

    categorical: Mapping[str, FlatColumn]
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
        """Lays the fitted features of a table of users or items along the rows of their vocabulary.

        Of two rows of one id the first counts; the table is None where the entity has no features. An
        InputError if a column holds something else than was fitted.
        """
        categorical: dict[str, FlatColumn] = {}
        dense: dict[str, np.ndarray] = {}
        features = [feature for feature in schema.of(entity) if feature.name != entity]
        if table is None or not features:
            return cls(categorical, dense)
        place = np.full(len(known), -1)
        place[known.rows(table[entity])[::-1]] = np.arange(len(table))[::-1]
        place[0] = -1  # where the table has nothing, the values are missing
        places = pa.array(place, mask=place < 0)
        for feature in features:
            found = apply_column(fitted[feature.name], column_of(table[feature.column]).take(places))
            if not isinstance(feature, Feature):
                dense[feature.name] = found
            elif isinstance(found, np.ndarray):
                categorical[feature.name] = found.astype(np.int64)
            else:
                categorical[feature.name] = _never_empty(found)
        return cls(categorical, dense)

    def with_rows(self, size: int, rows: np.ndarray, others: "SideFeatures") -> "SideFeatures":
        """The features of ``size`` rows, of which (n,) ``rows`` have those of the rows 1 to n of others.

        Rows that are new here and not among these are without any.
        """
        known = len(next(iter((*self.categorical.values(), *self.dense.values())), ()))
        places = np.arange(size)
        places[known:] = 0
        places[rows] = known + np.arange(1, len(rows) + 1)
        pairs = ((self.categorical, others.categorical), (self.dense, others.dense))
        return SideFeatures(
            *({n: take_rows(join_rows(c, other[n]), places) for n, c in own.items()} for own, other in pairs)
        )

    def ids(self, feature: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flat int64 values and (n,) int64 lengths of a categorical feature of (n,) rows."""
        return flat_and_lengths(take_rows(self.categorical[feature], rows))

    def save(self, path: Path) -> None:
        """Writes a Parquet file, a row for each row of the table."""
        vectors = {
            name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            for name, values in self.dense.items()
        }
        pq.write_table(pa.table({**self.categorical, **vectors}), path)

    @classmethod
    def load(cls, path: Path) -> "SideFeatures":
        """Reads what :meth:`save` wrote."""
        table = pq.read_table(path)
        columns = {name: one_array(table[name]) for name in table.column_names}
        dense = {name: numbers_of(c) for name, c in columns.items() if kind_of(c) == "vector"}
        categorical = {
            name: column if pa.types.is_large_list(column.type) else column.to_numpy()
            for name, column in columns.items()
            if name not in dense
        }
        return cls(categorical, dense)


def _never_empty(lists: pa.LargeListArray) -> pa.LargeListArray:
    """The lists with the unknown value in those that are empty."""
    lengths = lists.value_lengths().to_numpy()
    starts = offsets_of(lengths)[:-1]
    values = np.insert(lists.flatten().to_numpy().astype(np.int64), starts[lengths == 0], 0)
    return pa.LargeListArray.from_arrays(offsets_of(np.maximum(lengths, 1)), values)
