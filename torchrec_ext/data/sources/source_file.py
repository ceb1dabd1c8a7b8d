"""A file that somebody names: whether it is there, its checksum, and its errors in one line."""

import difflib
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import duckdb
import pyarrow as pa

from torchrec_ext.errors import InputError


def existing_file(path: Path) -> Path:
    """The path itself, if it is a file with something in it; InputError otherwise."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the file in it")
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, beside, n=1)
        hint = f"did you mean {path.parent / close[0]}?" if close else "check the path"
        raise InputError(f"no file {path}; {hint}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; expected a header and rows")
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def checksums_of(files: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of files by name, with the folders before it where two share one."""
    paths = list(dict.fromkeys(path.absolute() for path in files))
    often = Counter(path.name for path in paths)
    depth = next(n for n in count(1) if len({path.parts[-n:] for path in paths}) == len(paths))
    names = ["/".join(path.parts[-depth:]) if often[path.name] > 1 else path.name for path in paths]
    return dict(zip(names, map(sha256_of, paths), strict=True))


def one_line(text: object, most: int = 200) -> str:
    """Text without line ends and control characters, cut to a length."""
    printable = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * most])
    return " ".join(printable.split())[:most]


@contextmanager
def reading(name: Path | str) -> Iterator[None]:
    """Turns what goes wrong with a table while it is read into one line about it."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, EOFError, zlib.error) as error:
        reason = one_line((str(error).strip().splitlines() or [type(error).__name__])[0])
        raise InputError(f"cannot read {name}, is it cut short or of another format? {reason}") from error
