"""A file that somebody names: whether it is there, its bytes and its checksum."""

import difflib
import gzip
import hashlib
from pathlib import Path
from typing import BinaryIO, cast

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


def sha256(path: Path) -> str:
    """Checksum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def open_bytes(path: Path) -> BinaryIO:
    """The bytes of a file; those of one that ends in ``.gz`` are unpacked on the way."""
    return cast(BinaryIO, gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")
