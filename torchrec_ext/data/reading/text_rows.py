"""Rows of delimited text in a block of bytes: where each begins and ends, quotes considered."""

import re
from typing import NamedTuple

import numpy as np


class TextRows(NamedTuple):
    """Where the rows of a block lie.

    Args:
        starts: (rows,) the first byte of each.
        ends: (rows,) one past its last byte, the end of the line left out; equal to the start if blank.
        after: (rows,) the first byte behind the end of its line.
        garbled: (rows,) whether a quote opens there that closes nowhere, or amid a field lines below.
        used: how many bytes the rows take; what follows is the beginning of a row that needs more bytes.
    """

    starts: np.ndarray
    ends: np.ndarray
    after: np.ndarray
    garbled: np.ndarray
    used: int


def split_rows(data: bytes, delimiter: bytes, quote: bytes | None, final: bool) -> TextRows:
    r"""Finds the rows of a block that begins with a row and ends with the end of a line.

    A line ends with ``\n``, ``\r\n`` or ``\r``; one amid quotes ends no row. A quote that closes nowhere, or
    that closes on a later line but not at the end of a field, makes its own line bad and no other.

    Args:
        data: the block.
        delimiter: one byte.
        quote: one byte; None where quotes mean nothing.
        final: whether nothing follows; otherwise a row whose quote is still open is left for later.

    Example:
        >>> rows = split_rows(b'1,"a\nb"\n\n2,"c\n3,d\n', b",", b'"', final=True)
        >>> rows.starts.tolist(), rows.ends.tolist(), rows.garbled.tolist()
        ([0, 8, 9, 14], [7, 8, 13, 17], [False, False, True, False])
    """
    bytes_ = np.frombuffer(data, dtype=np.uint8)
    line_feed = bytes_ == 0x0A
    carriage_return = bytes_ == 0x0D
    before_line_feed = np.append(line_feed[1:], False)
    breaks = np.flatnonzero(line_feed | carriage_return & ~before_line_feed)
    bad: list[int] = []
    used = len(data)
    if quote is not None and quote in data:
        well_formed = _well_formed(bytes_, breaks, delimiter, quote, final)
        if well_formed is not None:
            inside, used = well_formed
        else:
            inside, bad, used = _quoted(data, breaks, delimiter, quote, final)
        breaks = breaks[~inside & (breaks < used)]
    after = breaks + 1
    starts = np.append(0, after[:-1]) if len(after) else after
    ends = breaks - ((breaks > starts) & line_feed[breaks] & carriage_return[breaks - 1])
    garbled = np.zeros(len(starts), dtype=bool)
    garbled[np.searchsorted(starts, bad, side="right") - 1] = True
    return TextRows(starts, ends, after, garbled, used)


def _well_formed(
    bytes_: np.ndarray, breaks: np.ndarray, delimiter: bytes, quote: bytes, final: bool
) -> tuple[np.ndarray, int] | None:
    """What _quoted finds, if each quote stands at either end of a field or is doubled; else None."""
    quotes = np.flatnonzero(bytes_ == quote[0])
    open_at_end = len(quotes) % 2 == 1
    if open_at_end and final:
        return None
    edge = np.zeros(256, dtype=bool)
    edge[[delimiter[0], 0x0A, 0x0D, quote[0]]] = True
    opening, closing = quotes[::2], quotes[1::2]
    opens = edge[bytes_[opening - 1]] | (opening == 0)
    closes = edge[bytes_[np.minimum(closing + 1, len(bytes_) - 1)]]
    if not (opens.all() and closes.all()):
        return None
    inside = np.searchsorted(quotes, breaks) % 2 == 1
    if not open_at_end:
        return inside, len(bytes_)
    whole = breaks[~inside & (breaks < quotes[-1])]
    return inside, int(whole[-1]) + 1 if len(whole) else 0


def _quoted(
    data: bytes, breaks: np.ndarray, delimiter: bytes, quote: bytes, final: bool
) -> tuple[np.ndarray, list[int], int]:
    """Which line ends lie amid quotes, bytes of bad rows, and how many bytes hold whole rows."""
    q, d = re.escape(quote), re.escape(delimiter)
    # As Arrow reads it: a quote opens at the start of a field only, and a doubled one is one of the text.
    field = re.compile(
        rb"(?<![^" + d + rb"\r\n])" + q + rb"[^" + q + rb"]*(?:" + q * 2 + rb"[^" + q + rb"]*)*"
    )
    inside = np.zeros(len(breaks), dtype=bool)
    bad: list[int] = []
    position = 0
    while found := field.search(data, position):
        start, end = found.span()
        closed = end < len(data)
        if not closed and not final:
            first = int(np.searchsorted(breaks, start))
            row_ends = breaks[:first][~inside[:first]]
            return inside, bad, int(row_ends[-1]) + 1 if len(row_ends) else 0
        words = found.group()
        if closed and b"\n" not in words and b"\r" not in words:
            position = end + 1
            continue
        first, last = np.searchsorted(breaks, (start, end)).tolist()
        if closed and data[end + 1 : end + 2] in (b"", delimiter, b"\n", b"\r"):
            inside[first:last] = True
            position = end + 1
        elif first == len(breaks):
            break
        else:
            bad.append(start)
            position = int(breaks[first]) + 1
    return inside, bad, len(data)
