"""ColumnBuilder: from the batches of a column to the column of Events, in memory or in a file."""

import mmap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from torchrec_ext.data.mapped_file import map_file
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.data.sources.dictionary import Dictionary
from torchrec_ext.errors import InputError


class ColumnBuilder:
    """Takes the batches of a column in a plain form, and makes the column of it when all are known.

    If it is ``undeclared``, text that writes numbers becomes numbers.
    """

    def __init__(self, kind: str, width: int | None, undeclared: bool, where: str) -> None:
        self.kind, self.undeclared, self.where = kind, undeclared, where
        plain = {
            "number": pa.float64(), "vector": pa.list_(pa.float32(), width or 1),
            "categories": pa.list_(pa.int32()),
            "time": pa.struct({"seconds": pa.float64(), "nanoseconds": pa.int16()}),
        }  # fmt: skip
        self.type = plain.get(kind, pa.int32())
        self.dictionary = Dictionary(where)

    def add(self, values: pa.Array, more: pa.Array | None, text: bool) -> pa.Array:
        """The plain form, of :attr:`type`, of (n,) values of a batch as SQL returns them.

        Beside them it may return ``more``: nanoseconds of times, or whether ids are strings.
        """
        if self.kind == "number":
            return pc.fill_null(values, np.nan)
        if self.kind == "time":
            fine = pa.nulls(len(values), pa.int16()) if more is None else more
            return pa.StructArray.from_arrays([values, fine], fields=list(self.type))
        if self.kind == "vector":
            return values.cast(self.type)
        if self.kind == "categories":
            lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
            codes = self.dictionary.add(values.flatten(), text)
            return pa.ListArray.from_arrays(pa.array(offsets_of(lengths), pa.int32()), codes)
        return self.dictionary.add(values, text) if more is None else self.dictionary.add_json(values, more)

    def missing(self, rows: int) -> pa.Array:
        """The plain form of rows of a table that has no such column."""
        empty = {"number": np.nan, "categories": []}.get(self.kind)
        return pa.repeat(pa.scalar(empty, self.type), rows)

    def constant(self, value: str, rows: int) -> pa.Array:
        """The plain form of rows that all hold one value."""
        return pa.repeat(self.dictionary.add(pa.array([value]), False)[0], rows)

    def finish(self, plain: pa.ChunkedArray) -> pa.ChunkedArray:
        """The column of all batches in their plain form."""
        if self.kind == "time":
            return _times(plain)
        if self.kind in ("number", "vector"):
            return plain
        words = self.dictionary.words
        words = words if len(words) else words.cast(pa.string())
        kind = pa.dictionary(pa.int32(), words.type)
        if self.kind == "categories":
            coded = [_coded(chunk.values, words) for chunk in plain.chunks]
            pairs = zip(plain.chunks, coded, strict=True)
            lists = [pa.ListArray.from_arrays(chunk.offsets, codes) for chunk, codes in pairs]
            return pa.chunked_array(lists, pa.list_(kind))
        numbers = written_numbers(words) if self.undeclared and self.dictionary.text else None
        if numbers is not None:
            taken = [np.append(numbers, np.nan)[chunk.fill_null(len(words))] for chunk in plain.chunks]
            return pa.chunked_array(taken, pa.float64())
        return pa.chunked_array([_coded(chunk, words) for chunk in plain.chunks], kind)


class PlainTable:
    """The plain columns of all batches, in memory or in an empty folder and mapped from a file there."""

    def __init__(self, schema: pa.Schema, folder: Path | None) -> None:
        self._schema, self._batches = schema, list[pa.RecordBatch]()
        self._path = None if folder is None else folder / "columns.arrow"
        self.mapped: mmap.mmap | None = None
        if self._path is not None:
            try:
                self._file = self._path.open("xb")
            except OSError as error:
                raise InputError(
                    f"cannot keep columns in {self._path}: {error.strerror}; name an empty folder that can "
                    "be written"
                ) from error
            self._writer = pa.ipc.new_file(self._file, schema)

    def add(self, columns: Mapping[str, pa.Array]) -> None:
        """Adds a batch."""
        batch = pa.record_batch([columns[name] for name in self._schema.names], self._schema)
        if self._path is None:
            self._batches.append(batch)
        else:
            self._writer.write_batch(batch)

    def finish(self) -> pa.Table:
        """All batches; in one chunk if they are in memory."""
        if self._path is None:
            return pa.Table.from_batches(self._batches, self._schema).combine_chunks()
        self._writer.close()
        self._file.close()
        self.mapped = map_file(self._path)
        return pa.ipc.open_file(pa.py_buffer(self.mapped)).read_all()


def _coded(codes: pa.Array, words: pa.Array) -> pa.DictionaryArray:
    """Codes with their words; a check of each code would read a mapped column as a whole."""
    return pa.DictionaryArray.from_arrays(codes, words, safe=False)


def written_numbers(words: pa.Array) -> np.ndarray | None:
    """The finite numbers that all words of a text file write, if some are written as no integer is."""
    if not pa.types.is_string(words.type) or not len(words):
        return None
    plain = pc.all(pc.match_substring_regex(words, r"^[+-]?([1-9][0-9]*|0)?(\.[0-9]*)?([eE][+-]?[0-9]+)?$"))
    if not plain.as_py() or not pc.any(pc.match_substring_regex(words, "[.eE]")).as_py():
        return None
    try:
        found = words.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    return found if np.isfinite(found).all() else None


def _times(plain: pa.ChunkedArray) -> pa.ChunkedArray:
    """int64 seconds if all are whole, float64 seconds, or timestamp[ns] if some are finer."""
    seconds, fine = (pc.struct_field(plain, name) for name in ("seconds", "nanoseconds"))
    if pc.any(pc.not_equal(fine, 0)).as_py():
        return pa.chunked_array([*map(_ticks, seconds.chunks, fine.chunks)], pa.timestamp("ns"))
    if seconds.null_count:
        return pc.fill_null(seconds, np.nan)
    try:
        return seconds.cast(pa.int64())  # which refuses what it would cut off
    except pa.ArrowInvalid:
        return seconds


def _ticks(seconds: pa.Array, fine: pa.Array) -> pa.Array:
    """Nanoseconds of seconds that are as near as float64 has to a microsecond."""
    microseconds = np.rint(pc.fill_null(seconds, 0).to_numpy(zero_copy_only=False) * 1e6).astype(np.int64)
    more = pc.fill_null(fine, 0).to_numpy(zero_copy_only=False)
    return pa.array(microseconds * 1000 + more, mask=np.asarray(seconds.is_null())).cast(pa.timestamp("ns"))
