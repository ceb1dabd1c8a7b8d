"""ColumnBuilder: from the batches of a column to the column of Events, in memory or in a file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from torchrec_ext.data.slices import offsets_of
from torchrec_ext.data.sources.dictionary import Dictionary
from torchrec_ext.errors import InputError

_NANOSECONDS = 10**9


class ColumnBuilder:
    """Takes the batches of a column in a plain form, and makes the column of it when all are known.

    Args:
        kind: of its values, see ``column_sql``.
        width: of vectors.
        undeclared: whether text that writes numbers becomes numbers.
        where: names it in messages.
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
        """(n,) values of a batch in the plain form of :attr:`type`.

        Args:
            values: as SQL returns them.
            more: what SQL returns beside them: nanoseconds of times, or whether ids are strings.
            text: whether they come from a text file.
        """
        if self.kind == "number":
            return pc.fill_null(values, np.nan) if values.null_count else values
        if self.kind == "time":
            fine = pa.nulls(len(values), pa.int16()) if more is None else more
            return pa.StructArray.from_arrays([values, fine], fields=list(self.type))
        if self.kind == "vector":
            return values.cast(self.type)
        if self.kind == "categories":
            lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
            codes = self.dictionary.add(values.flatten(), text)
            return pa.ListArray.from_arrays(pa.array(offsets_of(lengths), pa.int32()), codes)
        if more is not None and len(values) > values.null_count:
            values = self._of_one_type(values, more)
        return self.dictionary.add(values, text)

    def missing(self, rows: int) -> pa.Array:
        """The plain form of rows of a table that has no such column."""
        if self.kind == "number":
            return pa.array(np.full(rows, np.nan))
        if self.kind == "categories":
            return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), pa.array([], pa.int32()))
        return pa.nulls(rows, self.type)

    def constant(self, value: str, rows: int) -> pa.Array:
        """The plain form of rows that all hold one value."""
        code = self.dictionary.add(pa.array([value]), False)
        return code.take(pa.array(np.zeros(rows, np.int64)))

    def finish(self, plain: pa.ChunkedArray) -> pa.ChunkedArray:
        """The column of all batches in their plain form."""
        if self.kind == "time":
            return _times(plain)
        if self.kind in ("number", "vector"):
            return plain
        words = self.dictionary.words
        words = words if len(words) else words.cast(pa.string())
        if self.kind == "categories":
            kind = pa.list_(pa.dictionary(pa.int32(), words.type))
            return pa.chunked_array([_listed(chunk, words) for chunk in plain.chunks], kind)
        numbers = written_numbers(words) if self.undeclared and self.dictionary.text else None
        if numbers is not None:
            taken = [np.append(numbers, np.nan)[chunk.fill_null(len(words))] for chunk in plain.chunks]
            return pa.chunked_array(taken, pa.float64())
        kind = pa.dictionary(pa.int32(), words.type)
        return pa.chunked_array(
            [pa.DictionaryArray.from_arrays(chunk, words) for chunk in plain.chunks], kind
        )

    def _of_one_type(self, ids: pa.Array, strings: pa.Array) -> pa.Array:
        """Ids from JSON, which are integers or strings."""
        there = ids.is_valid()
        string, integer = (ids.filter(pc.and_(there, flag)) for flag in (strings, pc.invert(strings)))
        if not len(string):
            return ids.cast(pa.int64())
        if len(integer) or self.dictionary.integer is not None:
            number = integer[0].as_py() if len(integer) else self.dictionary.integer
            raise InputError(
                f"ids of {self.where} are mixed: {number}, {string[0].as_py()!r}; ids must be all integers "
                "or all strings, convert them with astype(str)"
            )
        return ids


class PlainTable:
    """The plain columns of all batches, in memory or mapped from a file in a folder.

    Args:
        schema: of the batches.
        folder: an empty folder; None keeps them in memory.

    Raises:
        InputError: if the folder cannot be written, or is in use.
    """

    def __init__(self, schema: pa.Schema, folder: Path | None) -> None:
        self._schema, self._batches = schema, list[pa.RecordBatch]()
        self._path = None if folder is None else folder / "columns.arrow"
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = pa.OSFile(str(self._path.open("xb").name), "wb")
            except OSError as error:
                raise InputError(
                    f"cannot keep columns in {self._path}: {error.strerror}; name an empty folder that can "
                    "be written"
                ) from error
            self._writer = pa.ipc.new_file(self._file, schema)

    def add(self, columns: Mapping[str, pa.Array]) -> None:
        """Adds a batch."""
        batch = pa.RecordBatch.from_arrays(
            [columns[name] for name in self._schema.names], schema=self._schema
        )
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
        return pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()


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


def _listed(codes: pa.ListArray, words: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(codes.offsets, pa.DictionaryArray.from_arrays(codes.values, words))


def _times(plain: pa.ChunkedArray) -> pa.ChunkedArray:
    """int64 seconds if all are whole, float64 seconds, or timestamp[ns] if some are finer."""
    seconds = [chunk.field(0) for chunk in plain.chunks]
    fine = [chunk.field(1) for chunk in plain.chunks]
    if any(pc.any(pc.not_equal(chunk, 0)).as_py() for chunk in fine):
        ticks = [_ticks(chunk, more) for chunk, more in zip(seconds, fine, strict=True)]
        return pa.chunked_array(ticks, pa.timestamp("ns"))
    if any(chunk.null_count for chunk in seconds):
        return pa.chunked_array([pc.fill_null(chunk, np.nan) for chunk in seconds], pa.float64())
    for chunk in seconds:
        values = chunk.to_numpy()
        if not (values == np.floor(values)).all():
            return pa.chunked_array(seconds, pa.float64())
    return pa.chunked_array([chunk.cast(pa.int64()) for chunk in seconds], pa.int64())


def _ticks(seconds: pa.Array, fine: pa.Array) -> pa.Array:
    """Nanoseconds of seconds that are as near as float64 has to a microsecond."""
    microseconds = np.rint(pc.fill_null(seconds, 0).to_numpy(zero_copy_only=False) * 1e6).astype(np.int64)
    more = pc.fill_null(fine, 0).to_numpy(zero_copy_only=False)
    return pa.array(microseconds * 1000 + more, mask=np.asarray(seconds.is_null())).cast(pa.timestamp("ns"))
