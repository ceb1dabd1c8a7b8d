"""JSON Lines: one object a line, read in blocks of lines; lines that are none set aside."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from torchrec_ext.data.reading.raw_block import RawBlock
from torchrec_ext.data.reading.rejects import BROKEN_ENCODING, NO_JSON, NO_OBJECT, Rejects
from torchrec_ext.data.sources.source_file import open_bytes, reading
from torchrec_ext.errors import InputError

_CHUNK = 1 << 22
_BYTE_ORDER_MARK = "\ufeff"


def find_keys(path: Path) -> tuple[str, ...]:
    """The keys of the objects at the beginning of a file, in the order in which they come up.

    Raises:
        InputError: if the file cannot be read, or holds no object there.
    """
    keys: dict[str, None] = {}
    with reading(path), open_bytes(path) as file:
        lines = file.readlines(_CHUNK)
    for line in lines:
        found, _ = _parse(line)
        if found is not None:
            keys.update(dict.fromkeys(found))
    if not keys:
        shown = lines[0][:60].decode(errors="replace").strip() if lines else ""
        raise InputError(
            f"{path} holds no JSON object in its first {len(lines):,} lines, the first is {shown!r}; "
            "expected one object a line, in UTF-8"
        )
    return tuple(keys)


def json_blocks(path: Path, names: Sequence[str], rejects: Rejects, rows: int) -> Iterator[RawBlock]:
    """Reads keys of the objects of a file, block by block; a key that an object lacks is missing there.

    Blank lines are skipped, but counted as lines.

    Args:
        path: the file.
        names: the keys to read.
        rejects: takes lines that are no object.
        rows: the most rows of a block.

    Raises:
        InputError: if the file cannot be read.
    """
    line = 0
    with reading(path), open_bytes(path) as file:
        while lines := file.readlines(_CHUNK):
            for first in range(0, len(lines), rows):
                yield _block(path, line + first, lines[first : first + rows], names, rejects)
            line += len(lines)


def _block(path: Path, before: int, lines: list[bytes], names: Sequence[str], rejects: Rejects) -> RawBlock:
    objects: list[dict] = []
    at: list[int] = []
    bad: dict[str, list[int]] = {}
    for n, line in enumerate(lines):
        found, reason = _parse(line)
        if found is not None:
            objects.append(found)
            at.append(before + n + 1)
        elif reason:
            bad.setdefault(reason, []).append(n)
    for reason, numbers in bad.items():
        values = [lines[n][:800].decode(errors="replace").rstrip("\r\n") for n in numbers]
        rejects.add(str(path), [before + n + 1 for n in numbers], "", reason, values)
    columns = {name: [found.get(name) for found in objects] for name in names}
    return RawBlock(str(path), np.array(at, dtype=np.int64), columns)


def _parse(line: bytes) -> tuple[dict | None, str | None]:
    """The object of a line, or why there is none; neither for a blank line."""
    try:
        words = line.decode()
    except UnicodeDecodeError:
        return None, BROKEN_ENCODING
    words = words.removeprefix(_BYTE_ORDER_MARK).strip()
    if not words:
        return None, None
    try:
        found = json.loads(words)
    except (ValueError, RecursionError):
        return None, NO_JSON
    return (found, None) if isinstance(found, dict) else (None, NO_OBJECT)
