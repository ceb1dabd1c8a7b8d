"""Data sets known by name: where their files lie, and downloads of MovieLens."""

import fcntl
import hashlib
import http.client
import logging
import os
import shutil
import tempfile
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path

from tqdm.auto import tqdm

from torchrec_ext.data import sets
from torchrec_ext.data.sources.declaration import Declaration, read_declaration, read_toml
from torchrec_ext.data.sources.movielens import declare_movielens
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

HOME = "https://files.grouplens.org/datasets/movielens"
CACHE = Path("~/.cache/torchrec_ext")
VARIABLE = "TORCHREC_EXT_DATA"

_FOLDER = Path(sets.__path__[0])
_LICENCE = (
    "MovieLens is GroupLens' data: for research, not for sale or redistribution without permission; "
    "acknowledge it in publications (Harper and Konstan, The MovieLens Datasets, TiiS 5(4), 2015)."
)
#: Archives to download: the folder in each, its file of events, and the publisher's MD5.
ARCHIVES = {
    "ml-100k": ("ml-100k", "u.data", "0e33842e24a9c977be4e0107933c0723"),
    "ml-1m": ("ml-1m", "ratings.dat", "c4d9eecfca2ab87c1945afe126590906"),
    "ml-10m": ("ml-10M100K", "ratings.dat", "ce571fd55effeba0271552578f2648bd"),
    "ml-20m": ("ml-20m", "ratings.csv", "cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": ("ml-25m", "ratings.csv", "6b51fb2759a8657d3bfcbfc42b592ada"),
}


def known_sets() -> tuple[str, ...]:
    """The names of all known data sets: those that are downloaded, then those declared in ``data/sets``."""
    return (*ARCHIVES, *sorted(path.stem for path in _FOLDER.glob("*.toml")))


def declare_known(name: str, data_dir: str | Path | None = None) -> Declaration:
    """The declaration of a known data set, whose folder lies in ``data_dir`` or where sets usually lie."""
    if name in ARCHIVES:
        archived, first, _ = ARCHIVES[name]
        folder = _find((name, archived), first, data_dir) or _download(name, data_dir)
        log.info("%s: read from %s", name, folder)
        return declare_movielens(name, folder)
    path = _FOLDER / f"{name}.toml"
    found = read_toml(path)
    first = found["events"][0]["file"]
    if place := _find((name, found.get("folder", name)), first, data_dir):
        return read_declaration(path, place)
    raise InputError(
        f"{name} is not on this machine and is not downloaded ({found['licence']}): get {first} from "
        f"{found['home']} into a folder {name}, and name the folder above it as data_dir (--data-dir) or in "
        f"{VARIABLE}"
    )


def declare_like(name: str, path: Path) -> Declaration:
    """The declaration of a set of one table for another file of its layout."""
    found = read_declaration(_FOLDER / f"{name}.toml", path.parent)
    return replace(found, name=str(path), events=(replace(found.events[0], source=path),))


def _find(names: tuple[str, str], first: str, data_dir: str | Path | None) -> Path | None:
    """The folder of one of these names that holds the first file."""
    places = [Path(p).expanduser() for p in (data_dir, os.environ.get(VARIABLE), CACHE) if p]
    folders = (place / name for place in places for name in names)
    return next((folder for folder in folders if (folder / first).exists()), None)


def _download(name: str, data_dir: str | Path | None) -> Path:
    """Downloads a set, unless another rank of the same run does it meanwhile."""
    target = Path(data_dir or CACHE).expanduser() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = target.with_name(f".{name}.lock").open("w")
    except OSError as error:
        raise InputError(
            f"{name} is not on this machine and cannot be downloaded into {target.parent} "
            f"({error.strerror}); name a folder that can be written as data_dir (--data-dir)"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not (target / ARCHIVES[name][1]).exists():
                _fetch(name, target)
        finally:
            Path(lock.name).unlink(missing_ok=True)
    return target


def _fetch(name: str, target: Path) -> None:
    """Downloads, checks and unpacks beside the final place, so that what stands there is complete."""
    (folder, first, expected), url = ARCHIVES[name], f"{HOME}/{name}.zip"
    by_hand = (
        f"unpack {url} by hand so that its files lie in {target}, or name the folder that holds {name}/ as "
        f"data_dir (--data-dir) or in {VARIABLE}"
    )
    if target.exists():
        raise InputError(f"{target} exists but has no {first} of {name}; remove it, or {by_hand}")
    print(_LICENCE)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as scratch:
        archive = Path(scratch, "archive.zip")
        try:
            with urllib.request.urlopen(url, timeout=60) as answer, archive.open("wb") as file:
                total = int(answer.headers.get("Content-Length", 0)) or None
                with tqdm.wrapattr(answer, "read", total=total, desc=name) as body:
                    shutil.copyfileobj(body, file)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            message = f"cannot download {name} from {url} ({reason}); are you offline? {by_hand}"
            raise InputError(message) from error
        md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
        if md5 != expected:
            raise InputError(
                f"{url} has MD5 {md5}, expected {expected}: it is cut short or another file; try again, or "
                f"{by_hand}"
            )
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(Path(scratch, "files"))  # never writes outside that folder
        Path(scratch, "files", folder).rename(target)
