"""Rejected rows: where they stand, why, and how many are too many."""

import logging
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from torchrec_ext.data.sources.source_file import one_line
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

LONGEST_VALUE = 200
MOST_ROWS = 200_000

BROKEN_ENCODING = "broken encoding"
INFINITE_NUMBER = "infinite number"
LONG_LINE = "line too long"
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
    BROKEN_ENCODING: "set encoding=, such as encoding='latin-1'",
    WRONG_FIELDS: "is delimiter= another one, or the file cut short?",
    NO_JSON: "is there one JSON object a line?",
    UNCLOSED_QUOTE: "set quote=None if quotes are ordinary characters in this file",
    OUT_OF_RANGE: "is the unit of the times another one?",
}
_COLUMNS = ("file", "line", "column", "reason", "value")
SCHEMA = pa.schema([(name, pa.int64() if name == "line" else pa.string()) for name in _COLUMNS])


class Rejects:
    """Collects the rows that are rejected, each once.

    Beyond ``MOST_ROWS`` only the counts go on, so that a broken file cannot fill the memory.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._samples: dict[str, dict] = {}
        self._kept = SCHEMA.empty_table()

    @property
    def total(self) -> int:
        """How many rows were rejected."""
        return self.counts.total()

    @property
    def room(self) -> int:
        """How many more rows are kept with their values."""
        return MOST_ROWS - self._kept.num_rows

    def add(self, columns: Mapping[str, Any], counts: Mapping[str, int]) -> None:
        """Adds rejected rows, at least one of each reason, and the ``counts`` of all there are.

        The column is "" for a row that is bad as a whole, and the value None where nothing stood.
        """
        rows = pa.table(columns, SCHEMA)
        self.counts.update(counts)
        reasons = rows["reason"].to_pylist()
        for reason in self.counts.keys() - self._samples.keys():
            self._samples[reason] = rows.slice(reasons.index(reason), 1).to_pylist()[0]
        self._kept = pa.concat_tables([self._kept, rows.slice(0, self.room)])

    def write(self, path: str | Path) -> None:
        """Writes the rows kept as Parquet: file, line, column, reason, value."""
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            rows = self._kept.sort_by([("file", "ascending"), ("line", "ascending")])
            pa.parquet.write_table(rows, path)
        except OSError as error:
            raise InputError(f"cannot write the rejected rows to {path}: {one_line(error)}") from error
        if self.total > MOST_ROWS:
            log.warning(
                "%s holds the first %s of %s rejected rows", path, f"{MOST_ROWS:,}", f"{self.total:,}"
            )

    def check(self, rows: int, max_bad_share: float, where: str) -> None:
        """Refuses a data set of which too large a share of all rows was rejected, else logs what was."""
        if self.total <= max_bad_share * rows:
            if self.total:
                counts = ", ".join(f"{count:,} {reason}" for reason, count in self.counts.most_common())
                log.warning("%s: set aside %s rows of %s (%s)", where, f"{self.total:,}", f"{rows:,}", counts)
            return
        several = len({sample["file"] for sample in self._samples.values()}) > 1
        reasons = []
        for reason, count in self.counts.most_common(5):
            found = self._samples[reason]
            at = (f"{found['file']} " if several else "") + f"line {found['line']}"
            at += f", column {found['column']!r}" if found["column"] else ""
            value = found["value"]
            reasons.append(f"{count:,} with {reason} ({at}: {'no value' if value is None else repr(value)})")
        commonest = self.counts.most_common(1)[0][0]
        hint, value = _HINTS.get(commonest, ""), self._samples[commonest]["value"]
        if commonest == UNPARSABLE_NUMBER and re.fullmatch(r"-?\d+,\d+", str(value)):
            hint = "set decimal=','"
        raise InputError(
            f"{self.total:,} of {rows:,} rows of {where} are bad ({self.total / max(rows, 1):.2%}), more "
            f"than {max_bad_share:.2%}: {'; '.join(reasons)}{'; ' if hint else ''}{hint}; mend them, or "
            "allow a larger share"
        )
