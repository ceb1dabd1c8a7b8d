"""Rows set aside while a table is read: where they stand, why, and how many are too many."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

LONGEST_VALUE = 200

BROKEN_ENCODING = "broken encoding"
INFINITE_NUMBER = "infinite number"
MISSING_ID = "missing id"
MISSING_NUMBER = "missing number"
MISSING_TIME = "missing time"
MISSING_VALUE = "missing value"
NO_JSON = "not valid JSON"
NO_OBJECT = "not a JSON object"
NOT_A_VALUE = "not a single value"
NOT_AN_ID = "not an id"
OUT_OF_RANGE = "time out of range"
UNCLOSED_QUOTE = "quote never closed"
UNKNOWN_TYPE = "unknown event type"
UNPARSABLE_NUMBER = "unparsable number"
UNPARSABLE_TIME = "unparsable time"
WRONG_FIELDS = "wrong number of fields"
WRONG_LENGTH = "wrong list length"

_HINTS = {
    BROKEN_ENCODING: "convert the file to UTF-8 first, with iconv for instance",
    WRONG_FIELDS: "is the separator another one, or the file cut short?",
    NO_JSON: "is there one JSON object a line?",
    UNCLOSED_QUOTE: "if quotes mean nothing in this file, open it with quote=None",
    OUT_OF_RANGE: "is the unit of the times another one?",
}


class _Sample(NamedTuple):
    file: str
    line: int
    column: str
    value: str | None


class Rejects:
    """Collects the rows that are set aside, each once.

    Beyond ``limit`` rows only the counts go on, so that a broken file cannot fill the memory.

    Args:
        limit: how many rows are kept with file, line and value.

    Example:
        >>> rejects = Rejects()
        >>> rejects.add("events.csv", [4, 9], "price", "unparsable number", ["cheap", "dear"])
        >>> rejects.counts()
        {'unparsable number': 2}
        >>> rejects.check(100, 0.01, "events.csv")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: 2 of 100 rows of events.csv are bad (2.00%), more than 1.00%: 2 \
with unparsable number (line 4, column 'price': 'cheap'); mend them, or allow a larger share
    """

    def __init__(self, limit: int = 200_000) -> None:
        self.limit = limit
        self._counts: Counter[str] = Counter()
        self._samples: dict[str, _Sample] = {}
        self._kept: list[tuple[str, np.ndarray, str, str, list[str | None]]] = []
        self._room = limit

    @property
    def total(self) -> int:
        """How many rows were set aside."""
        return self._counts.total()

    @property
    def room(self) -> int:
        """How many more rows are kept with their values; the values of others are not looked at."""
        return self._room

    def add(
        self,
        file: str,
        lines: Sequence[int] | np.ndarray,
        column: str,
        reason: str,
        values: Sequence[object],
    ) -> None:
        """Sets rows aside that share file, column and reason.

        Args:
            file: the file, or the name of the table in memory.
            lines: (rows,) their lines, counted from 1.
            column: the table's name of the column; "" for a row that is bad as a whole.
            reason: why, in a few words.
            values: what stood there, as many as ``lines`` or only the first of them; None where nothing did.
        """
        if not len(lines):
            return
        shown = [None if v is None else str(v)[:LONGEST_VALUE] for v in values[: max(self._room, 1)]]
        self._counts[reason] += len(lines)
        if reason not in self._samples:
            self._samples[reason] = _Sample(file, int(lines[0]), column, shown[0] if shown else None)
        kept = min(self._room, len(lines))
        if kept:
            shown = shown[:kept] + [None] * (kept - len(shown))
            self._kept.append((file, np.array(lines[:kept], dtype=np.int64), column, reason, shown))
            self._room -= kept

    def counts(self) -> dict[str, int]:
        """Rows by reason, the commonest first."""
        return dict(self._counts.most_common())

    def write(self, path: str | Path) -> None:
        """Writes the rows kept as Parquet: file, line, column, reason, value.

        Raises:
            InputError: if the file cannot be written.
        """
        columns = {
            "file": pa.array([f for f, lines, *_ in self._kept for _ in lines], pa.string()),
            "line": pa.array(
                np.concatenate([np.empty(0, np.int64), *(lines for _, lines, *_ in self._kept)])
            ),
            "column": pa.array([c for _, lines, c, *_ in self._kept for _ in lines], pa.string()),
            "reason": pa.array([r for _, lines, _, r, _ in self._kept for _ in lines], pa.string()),
            "value": pa.array([v for *_, values in self._kept for v in _writable(values)], pa.string()),
        }
        try:
            pa.parquet.write_table(pa.table(columns), path)
        except OSError as error:
            raise InputError(f"cannot write the bad rows to {path}: {_one_line(error)}") from error
        if self.total > self.limit:
            log.warning("%s holds the first %s of %s bad rows", path, f"{self.limit:,}", f"{self.total:,}")

    def check(self, rows_in: int, max_bad_share: float, where: str) -> None:
        """Refuses a table of which too large a share was set aside.

        Args:
            rows_in: all rows read, those set aside among them.
            max_bad_share: the largest share that passes, from 0 to 1.
            where: names the table in the message.

        Raises:
            InputError: with the total, the share, and the five commonest reasons with a sample each.
        """
        if self.total <= max_bad_share * rows_in:
            return
        several = len({sample.file for sample in self._samples.values()}) > 1
        reasons = []
        for reason, count in self._counts.most_common(5):
            file, line, column, value = self._samples[reason]
            at = (f"{file} " if several else "") + f"line {line}" + (f", column {column!r}" if column else "")
            reasons.append(f"{count:,} with {reason} ({at}: {'no value' if value is None else repr(value)})")
        commonest = self._counts.most_common(1)[0][0]
        hint = f"; {_HINTS[commonest]}" if commonest in _HINTS else ""
        raise InputError(
            f"{self.total:,} of {rows_in:,} rows of {where} are bad ({self.total / max(rows_in, 1):.2%}"
            f"), more than {max_bad_share:.2%}: {'; '.join(reasons)}{hint}; mend them, "
            "or allow a larger share"
        )


def _writable(values: list[str | None]) -> list[str | None]:
    """Text without halves of surrogate pairs, which JSON may hold and UTF-8 may not."""
    return [None if v is None else v.encode("utf-8", "replace").decode() for v in values]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
