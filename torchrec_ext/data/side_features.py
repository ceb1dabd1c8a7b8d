"""SideFeatures: the categorical and numeric features of the rows of one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from torchrec_ext.data.slices import slice_positions
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.schema import Entity, Schema


@dataclass(frozen=True)
class SideFeatures:
    """Features by row; a row without any, the unknown row among them, has the unknown value.

    Args:
        jagged: categorical feature -> (flat int64 values, (R + 1,) int64 offsets).
        dense: numeric feature -> (R,) float32, standardised; 0, the mean, where it is missing.
    """

    jagged: Mapping[str, tuple[np.ndarray, np.ndarray]]
    dense: Mapping[str, np.ndarray]

    @classmethod
    def fit(
        cls,
        entity: Entity,
        table: pd.DataFrame | None,
        schema: Schema,
        vocabularies: Mapping[str, Vocabulary],
        scales: Mapping[str, tuple[float, float]],
    ) -> "SideFeatures":
        """Lays the table's columns along the rows of the entity's vocabulary."""
        ids = vocabularies[entity]
        aligned = None if table is None else table.drop_duplicates(entity).set_index(entity).reindex(ids.index)
        jagged: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        dense: dict[str, np.ndarray] = {}
        for feature in schema.features:
            if feature.entity == entity and feature.name != entity:
                assert aligned is not None
                values = aligned[feature.column]
                lengths = _lengths(values) if feature.many else np.ones(len(values), np.int64)
                flat = vocabularies[feature.table].rows((values.explode() if feature.many else values).to_numpy())
                lengths = np.concatenate([[1], np.maximum(lengths, 1)])
                jagged[feature.name] = (
                    np.concatenate([[0], flat]),
                    np.concatenate([[0], np.cumsum(lengths)]),
                )
        for number in schema.dense:
            if number.entity == entity:
                assert aligned is not None
                mean, deviation = scales[number.name]
                scaled = (aligned[number.column].to_numpy(np.float32) - mean) / deviation
                dense[number.name] = np.concatenate([[0], np.nan_to_num(scaled)]).astype(np.float32)
        return cls(jagged, dense)

    def ids(self, feature: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flat int64 values and (n,) int64 lengths of a categorical feature of (n,) rows."""
        values, offsets = self.jagged[feature]
        starts, ends = offsets[rows], offsets[rows + 1]
        return values[slice_positions(starts, ends)], ends - starts

    def save(self, path: Path) -> None:
        """Writes a Parquet file, a row for each row of the table."""
        columns: dict[str, pa.Array] = {
            name: pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))
            for name, (values, offsets) in self.jagged.items()
        }
        columns |= {name: pa.array(values) for name, values in self.dense.items()}
        pq.write_table(pa.table(columns), path)

    @classmethod
    def load(cls, path: Path) -> "SideFeatures":
        """Reads what :meth:`save` wrote."""
        jagged: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        dense: dict[str, np.ndarray] = {}
        table = pq.read_table(path)
        for name in table.column_names:
            column = table.column(name).combine_chunks()
            if isinstance(column, pa.ChunkedArray):
                column = pa.concat_arrays(column.chunks)
            if pa.types.is_floating(column.type):
                dense[name] = column.to_numpy()
            else:
                offsets = column.offsets.to_numpy().astype(np.int64)
                jagged[name] = (column.values.to_numpy(), offsets)
        return cls(jagged, dense)


def _lengths(lists: pd.Series) -> np.ndarray:
    return np.array([len(v) if isinstance(v, (list, tuple, np.ndarray)) else 1 for v in lists], np.int64)
