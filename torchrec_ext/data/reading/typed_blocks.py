"""Typed tables in blocks: Parquet files, pandas DataFrames, Arrow tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from torchrec_ext.data.reading.raw_block import RawBlock, RawColumn, one_array
from torchrec_ext.data.sources.source_file import reading
from torchrec_ext.errors import InputError


def parquet_blocks(path: Path, names: Sequence[str], rows: int) -> Iterator[RawBlock]:
    """Reads columns of a Parquet file in blocks of at most ``rows`` rows.

    Raises:
        InputError: if the file cannot be read, or lacks a column, as one file of a folder may.
    """
    with reading(path), pa.parquet.ParquetFile(path) as file:
        lacking = [name for name in names if name not in file.schema_arrow.names]
        if lacking:
            raise InputError(
                f"{path} has no column {lacking[0]!r}; it has {', '.join(file.schema_arrow.names)}: the "
                "files of a folder must share their columns"
            )
        line = 1
        for batch in file.iter_batches(batch_size=rows, columns=list(names)):
            columns = {name: plain(batch.column(batch.schema.get_field_index(name))) for name in names}
            lines = np.arange(line, line + batch.num_rows, dtype=np.int64)
            line += batch.num_rows
            yield RawBlock(str(path), lines, columns)


def arrow_blocks(table: pa.Table, name: str, names: Sequence[str], rows: int) -> Iterator[RawBlock]:
    """Slices of an Arrow table."""
    for first in range(0, table.num_rows, rows):
        piece = table.slice(first, rows)
        columns = {n: plain(one_array(piece.column(n))) for n in names}
        yield RawBlock(name, np.arange(first + 1, first + 1 + piece.num_rows, dtype=np.int64), columns)


def frame_blocks(frame: pd.DataFrame, name: str, names: Sequence[str], rows: int) -> Iterator[RawBlock]:
    """Slices of a DataFrame; its index plays no part."""
    series = {str(column): frame[column] for column in frame.columns if str(column) in set(names)}
    for first in range(0, len(frame), rows):
        columns = {n: _from_pandas(series[n].iloc[first : first + rows], n, name) for n in names}
        stop = min(first + rows, len(frame))
        yield RawBlock(name, np.arange(first + 1, stop + 1, dtype=np.int64), columns)


def plain(values: pa.Array) -> pa.Array:
    """The same values as one of few types: no dictionary, no extension, no large or viewed text or list."""
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if isinstance(values, pa.RunEndEncodedArray):
        values = pc.run_end_decode(values)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    wanted = _plain_type(values.type)
    return values if wanted == values.type else values.cast(wanted)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or kind == _view("string_view"):
        return pa.string()
    if pa.types.is_large_binary(kind) or kind == _view("binary_view") or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    return kind


def _view(name: str) -> pa.DataType | None:
    """A type that early releases of pyarrow lack."""
    return getattr(pa, name)() if hasattr(pa, name) else None


def _from_pandas(values: pd.Series, column: str, name: str) -> RawColumn:
    if values.dtype == object:
        return values.tolist()
    try:
        return plain(one_array(pa.array(values, from_pandas=True)))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(
            f"column {column!r} of {name} is of type {values.dtype}, which cannot be read: "
            f"{' '.join(str(error).split())[:200]}; convert it with astype"
        ) from error
