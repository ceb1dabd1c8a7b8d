"""SideFeatures: the categorical and numeric features of the rows of one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from torchrec_ext.data.lists import Lists
from torchrec_ext.data.slices import offsets_of, slice_positions
from torchrec_ext.data.standardise import Scale, standardise
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity, Schema


@dataclass(frozen=True, eq=False)
class SideFeatures:
    """Features by row; a row without any, the unknown row among them, has the unknown value.

    Args:
        lists: categorical feature -> rows of its table; each row of the entity has at least one.
        dense: numeric feature -> (R,) float32, standardised; 0, the mean, where it is missing.

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
        schema: Schema,
        vocabularies: Mapping[str, Vocabulary],
        scales: Mapping[str, Scale],
    ) -> "SideFeatures":
        """Lays the table's columns along the rows of the entity's vocabulary.

        Args:
            entity: ``user`` or ``item``.
            table: one row an id, in a column named after the entity, and the columns of the features;
                of two rows of one id the first counts. None where the entity has no features.
            schema: names the features.
            vocabularies: of the entity and of each categorical feature.
            scales: of each numeric feature.

        Raises:
            InputError: if a feature of lists holds something else.
        """
        if table is None:
            return cls({}, {})
        row_of_id = vocabularies[entity].rows(table[entity])
        # where each row's features stand in the table; the place after the last one for a row without any
        place = np.full(len(vocabularies[entity]), len(table))
        place[row_of_id[::-1]] = np.arange(len(table))[::-1]
        place[0] = len(table)
        lists: dict[str, Lists] = {}
        for feature in schema.features:
            if feature.entity == entity and feature.name != entity:
                values, lengths = flatten(table[feature.column], feature.many)
                lists[feature.name] = _along(place, vocabularies[feature.table].rows(values), lengths)
        dense = {
            number.name: np.append(standardise(table[number.column], scales[number.name]), np.float32(0))[
                place
            ]
            for number in schema.dense
            if number.entity == entity
        }
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
        columns |= {name: pa.array(values) for name, values in self.dense.items()}
        pq.write_table(pa.table(columns), path)

    @classmethod
    def load(cls, path: Path) -> "SideFeatures":
        """Reads what :meth:`save` wrote."""
        lists: dict[str, Lists] = {}
        dense: dict[str, np.ndarray] = {}
        table = pq.read_table(path)
        for name in table.column_names:
            column = table.column(name).combine_chunks()
            if pa.types.is_floating(column.type):
                dense[name] = column.to_numpy()
            else:
                lengths = pc.list_value_length(column).to_numpy()
                lists[name] = Lists(column.flatten().to_numpy(), offsets_of(lengths))
        return cls(lists, dense)


def flatten(column: pd.Series, many: bool) -> tuple[pd.Series, np.ndarray]:
    """All values of a column one after the other, and how many each row has.

    Args:
        column: (n,) values, or lists of values if ``many``.
        many: whether it holds lists; a missing one is an empty one, a missing value in one is left out.

    Returns:
        The flat values and (n,) int64 lengths.

    Raises:
        InputError: if lists are mixed with something else, or values of several kinds with each other.

    Example:
        >>> values, lengths = flatten(pd.Series([["a", "b"], None, [], ["a", None]]), many=True)
        >>> list(values), lengths
        (['a', 'b', 'a'], array([2, 0, 0, 1]))
    """
    if not many:
        return column, np.ones(len(column), np.int64)
    try:
        lists = pa.array(column, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"column {column.name!r} should hold a list in each row: {error}") from None
    values = lists.flatten()
    ends = offsets_of(pc.list_value_length(lists).fill_null(0).to_numpy())
    there = offsets_of(pc.is_valid(values).to_numpy(zero_copy_only=False))
    return values.drop_null().to_pandas(), np.diff(there[ends])


def _along(place: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> Lists:
    """Values of the rows of a table, in the order of places in it; the unknown value where there is none."""
    offsets = offsets_of(np.append(lengths, 1))
    place = np.where(np.diff(offsets)[place] > 0, place, len(lengths))
    starts, ends = offsets[place], offsets[place + 1]
    return Lists(np.append(values, 0)[slice_positions(starts, ends)], offsets_of(ends - starts))
