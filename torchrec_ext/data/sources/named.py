"""Public data sets by name: found on this machine, else fetched from their own home."""

import fcntl
import hashlib
import http.client
import logging
import os
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from torchrec_ext.data.sources.movielens import event_file
from torchrec_ext.errors import InputError, nearest

log = logging.getLogger(__name__)

HOME = "https://files.grouplens.org/datasets/movielens"
CACHE = Path("~/.cache/torchrec_ext")
VARIABLE = "TORCHREC_EXT_DATA"

_LICENCE = (
    "MovieLens is GroupLens' data: for research, not for sale or redistribution without permission; "
    "acknowledge it in publications (Harper and Konstan, The MovieLens Datasets, TiiS 5(4), 2015)."
)


class NamedData(NamedTuple):
    """A data set that can be fetched.

    Args:
        folder: the folder inside its archive.
        md5: checksum of the archive as its publisher states it.
    """

    folder: str
    md5: str


NAMED = {
    "ml-100k": NamedData("ml-100k", "0e33842e24a9c977be4e0107933c0723"),
    "ml-1m": NamedData("ml-1m", "c4d9eecfca2ab87c1945afe126590906"),
    "ml-10m": NamedData("ml-10M100K", "ce571fd55effeba0271552578f2648bd"),
    "ml-20m": NamedData("ml-20m", "cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": NamedData("ml-25m", "6b51fb2759a8657d3bfcbfc42b592ada"),
}


def find_named(name: str, data_dir: str | Path | None = None) -> Path:
    """The folder of a named data set, fetched if it is nowhere on this machine.

    Looked for in ``data_dir``, then in the folder that the environment variable TORCHREC_EXT_DATA names,
    then in ``~/.cache/torchrec_ext``; fetched into ``data_dir`` if given, else into the last of these.

    Args:
        name: one of :data:`NAMED`.
        data_dir: a folder that holds, or will hold, a folder of that name.

    Raises:
        InputError: for an unknown name, if the archive cannot be fetched, or if it is not the known one.
    """
    if name not in NAMED:
        hint = nearest(name, NAMED)
        raise InputError(f"no data set named {name!r}{hint}; there are {', '.join(NAMED)}, or give a path")
    cache = CACHE.expanduser()
    places = [Path(p).expanduser() for p in (data_dir, os.environ.get(VARIABLE)) if p] + [cache]
    found = _look(name, places)
    if found is None:
        home = Path(data_dir).expanduser() if data_dir else cache
        with _alone(home, name):
            # Another rank of the same run may have fetched it meanwhile.
            found = _look(name, places) or _fetch(name, home)
    log.info("%s: read from %s", name, found)
    return found


def _look(name: str, places: list[Path]) -> Path | None:
    folders = [place / folder for place in places for folder in dict.fromkeys((name, NAMED[name].folder))]
    return next((folder for folder in folders if event_file(folder)), None)


def _fetch(name: str, home: Path) -> Path:
    """Downloads, checks and unpacks beside its final place; what stands there in the end is whole."""
    url = f"{HOME}/{name}.zip"
    target = home / name
    by_hand = (
        f"unpack {url} by hand so that its files lie in {target}, or name the folder that holds {name}/ "
        f"as data_dir (--data-dir) or in {VARIABLE}"
    )
    if target.exists():
        raise InputError(f"{target} exists but holds no ratings file of {name}; remove it, or {by_hand}")
    print(_LICENCE)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=home) as scratch:
        archive = Path(scratch, "archive.zip")
        try:
            md5 = _download(url, archive, name)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise InputError(
                f"cannot fetch {name} from {url} ({reason}); are you offline? {by_hand}"
            ) from error
        if md5 != NAMED[name].md5:
            raise InputError(
                f"{url} has MD5 {md5}, expected {NAMED[name].md5}: it is cut short or another file; try "
                f"again, or {by_hand}"
            )
        _unpack(archive, Path(scratch, "files"))
        Path(scratch, "files", NAMED[name].folder).rename(target)
    return target


def _download(url: str, path: Path, name: str) -> str:
    """Fetches a file with a progress bar and returns its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(url, timeout=60) as answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length", 0)) or None
        with tqdm(total=total, unit="B", unit_scale=True, desc=name) as bar:
            while block := answer.read(1 << 18):
                digest.update(block)
                file.write(block)
                bar.update(len(block))
    return digest.hexdigest()


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.namelist():
            if not (folder / member).resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"the archive would write {member!r} outside its folder; it is not to be trusted"
                )
        packed.extractall(folder)


@contextmanager
def _alone(home: Path, name: str) -> Iterator[None]:
    """Lets one process at a time fetch; those that wait look again before they fetch themselves."""
    lock = home / f".{name}.lock"
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise InputError(
            f"{name} is not on this machine and cannot be fetched into {home} ({error.strerror}); "
            "name a folder that can be written as data_dir (--data-dir)"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
