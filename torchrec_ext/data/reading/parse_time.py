"""Times: numbers of any unit, dates and ISO words as unix seconds."""

import logging
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.as_written import floats_as_written
from torchrec_ext.data.reading.fine_times import PER_SECOND, seconds_of
from torchrec_ext.data.reading.parse_number import is_numeric, numbers_of
from torchrec_ext.data.reading.parse_word import decode
from torchrec_ext.data.reading.parsed import Parsed, bad_rows, flags
from torchrec_ext.data.reading.rejects import INFINITE_NUMBER, OUT_OF_RANGE, UNPARSABLE_TIME
from torchrec_ext.data.sources.column_spec import Unit
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

EARLIEST, LATEST = -2_208_988_800, 7_258_118_400  # 1900-01-01 and 2200-01-01
_PER_SECOND: dict[str, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_SUFFICIENT: tuple[tuple[float, Unit], ...] = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))


class TimeParser:
    """Parses the times of one column, block by block, with one unit for all numbers.

    Numbers are seconds, or what ``unit`` says; None finds the unit from the first block that holds numbers:
    a median beyond 1e11 means milliseconds, beyond 1e14 microseconds, beyond 1e17 nanoseconds. Small numbers
    pass, as they may be places in a history. Dates and times without a zone are UTC.

    Args:
        unit: of times that are numbers.
        where: names the column in messages.

    Example:
        >>> parse = TimeParser(None, "column 'ts'")
        >>> parse(pa.array(["1970-01-02", "1970-01-01T00:00:10.5+00:00", "noon"])).values.to_pylist()
        [86400.0, 10.5, None]
    """

    def __init__(self, unit: Unit | None, where: str) -> None:
        self.unit = unit
        self.where = where

    def __call__(self, values: pa.Array) -> Parsed:
        """Unix seconds as float64, null where one is missing or bad.

        Times that a block knows to less than a microsecond are timestamps in nanoseconds, which float64
        cannot tell apart.

        Raises:
            InputError: if the column holds neither numbers, nor dates, nor words.
        """
        kind = values.type
        bad: tuple[tuple[np.ndarray, str], ...] = ()
        unparsable = np.zeros(len(values), dtype=bool)
        nanoseconds: np.ndarray | None = None
        if pa.types.is_binary(kind):
            values, bad = decode(values)
            kind = values.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            seconds, nanoseconds = _from_dates(values)
        elif pa.types.is_string(kind):
            numbers, unparsable = numbers_of(values)
            seconds = self._from_numbers(numbers)
            if self.unit == "ns":
                nanoseconds = _whole_words(values, seconds)
            if unparsable.any():
                dates, ticks, unparsable = _from_words(values, unparsable)
                is_date = ~np.isnan(dates)
                seconds = np.where(is_date, dates, seconds)
                nanoseconds = np.where(
                    is_date, ticks, _ticks(seconds) if nanoseconds is None else nanoseconds
                )
        elif is_numeric(kind) and not pa.types.is_boolean(kind):
            seconds = self._from_numbers(floats_as_written(values))
            if pa.types.is_integer(kind) and self.unit is not None:
                whole = pc.fill_null(values.cast(pa.int64(), safe=False), 0).to_numpy()
                exact = seconds_of(whole, _PER_SECOND[self.unit])
                seconds = np.where(np.abs(seconds) <= LATEST, exact, seconds)
                nanoseconds = whole if self.unit == "ns" else None
        else:
            raise InputError(f"{self.where} holds values of type {kind}; expected seconds or dates")
        infinite = np.isinf(seconds)
        with np.errstate(invalid="ignore"):
            outside = ((seconds < EARLIEST) | (seconds > LATEST)) & ~infinite
        seconds[infinite | outside] = np.nan
        bad += bad_rows((unparsable, UNPARSABLE_TIME), (infinite, INFINITE_NUMBER), (outside, OUT_OF_RANGE))
        if nanoseconds is not None:
            missing = np.isnan(seconds)
            if (nanoseconds[~missing] % 1000 != 0).any():
                return Parsed(pa.array(nanoseconds, mask=missing).cast(pa.timestamp("ns")), bad)
        return Parsed(pa.array(seconds, from_pandas=True), bad)

    def _from_numbers(self, numbers: pa.Array) -> np.ndarray:
        times = numbers.to_numpy(zero_copy_only=False)
        if self.unit is None:
            finite = np.abs(times[np.isfinite(times)])
            if len(finite):
                median = float(np.median(finite))
                self.unit = next((unit for least, unit in _SUFFICIENT if median > least), "s")
                if self.unit != "s":
                    log.info("%s: took times around %.4g as %s", self.where, median, self.unit)
        return times / _PER_SECOND[self.unit or "s"]


def _from_dates(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Seconds, NaN for a missing date, and int64 nanoseconds, of a missing date any."""
    there = flags(values.is_valid())
    if pa.types.is_date32(values.type):
        ticks, per_second = pc.fill_null(values.cast(pa.int32()), 0).to_numpy() * np.int64(86_400), 1
    else:
        ticks = pc.fill_null(values.cast(pa.int64()), 0).to_numpy()
        per_second = _PER_SECOND["ms" if pa.types.is_date64(values.type) else values.type.unit]
    # what is beyond 64 bits of nanoseconds is out of range
    return np.where(there, seconds_of(ticks, per_second), np.nan), ticks * (PER_SECOND // per_second)


def _ticks(seconds: np.ndarray) -> np.ndarray:
    """int64 nanoseconds of seconds, of those that are not there any."""
    whole = np.floor(np.where(np.abs(seconds) <= LATEST, seconds, 0.0))
    rest = np.rint((np.where(np.abs(seconds) <= LATEST, seconds, 0.0) - whole) * 1e6)
    return whole.astype(np.int64) * PER_SECOND + rest.astype(np.int64) * 1000


def _whole_words(words: pa.Array, seconds: np.ndarray) -> np.ndarray:
    """int64 nanoseconds of words that write them, digit by digit where they are digits."""
    ticks = _ticks(seconds)
    digits = flags(pc.match_substring_regex(words, "^-?[0-9]{1,19}$")) & (np.abs(seconds) <= LATEST)
    ticks[digits] = words.filter(pa.array(digits)).cast(pa.int64()).to_numpy()
    return ticks


def _from_words(words: pa.Array, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seconds of the ISO dates among the wanted words, NaN elsewhere; their nanoseconds; which write none."""
    seconds, nanoseconds = np.full(len(words), np.nan), np.zeros(len(words), np.int64)
    trimmed = pc.utf8_trim_whitespace(words)
    # pandas would take "now" for a date as well.
    wanted_dates = wanted & flags(pc.match_substring_regex(trimmed, "^[0-9]{4}-"))
    zoned = flags(pc.match_substring_regex(trimmed, "(Z|[0-9][+-][0-9]{2}(:?[0-9]{2})?)$"))
    # A date alone ends like a zone.
    zoned &= flags(pc.match_substring_regex(trimmed, "[T ]"))
    for mask, kind in (
        (wanted_dates & ~zoned, pa.timestamp("us")),
        (wanted_dates & zoned, pa.timestamp("us", "UTC")),
    ):
        chosen = trimmed.filter(pa.array(mask))
        try:
            seconds[mask], nanoseconds[mask] = _from_dates(chosen.cast(kind))
        except pa.ArrowInvalid:
            seconds[mask], nanoseconds[mask] = _from_odd_words(chosen)
    return seconds, nanoseconds, wanted & np.isnan(seconds)


def _from_odd_words(words: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and nanoseconds of words that Arrow cannot read at once, NaN where they write no date.

    All of them have a zone or none has: pandas 2.2 gives those without one the zone of a row before.
    """
    series = pd.Series(words.to_numpy(zero_copy_only=False), dtype=object)
    parsed = pd.to_datetime(series, errors="coerce", utc=True, format="ISO8601")
    found, nanoseconds = _from_dates(pa.array(parsed.dt.tz_localize(None), from_pandas=True))
    # pandas has no nanoseconds of the year 1 or 9999: these are out of range, not unparsable.
    for place in np.flatnonzero(np.isnan(found)):
        try:
            day = date.fromisoformat(words[int(place)].as_py()[:10])
        except ValueError:
            continue
        since = (day - date(1970, 1, 1)).total_seconds()
        if not EARLIEST <= since <= LATEST:
            found[place] = since
    return found, nanoseconds
