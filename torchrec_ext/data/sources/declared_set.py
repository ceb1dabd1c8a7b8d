"""Data sets that are known by name: which there are, and where their files lie on this machine."""

import os
from dataclasses import replace
from pathlib import Path

from torchrec_ext.data import sets
from torchrec_ext.data.sources.declaration import Declaration
from torchrec_ext.data.sources.named import CACHE, VARIABLE
from torchrec_ext.data.sources.toml_file import read_declaration, read_toml
from torchrec_ext.errors import InputError

_FOLDER = Path(sets.__path__[0])


def names_of_sets() -> tuple[str, ...]:
    """The names of the data sets that are declared in ``data/sets``, in order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def declared_set(name: str, data_dir: str | Path | None = None) -> Declaration:
    """The declaration of a data set whose files lie on this machine.

    Looked for in ``data_dir``, in the folder that the environment variable TORCHREC_EXT_DATA names, and in
    ``~/.cache/torchrec_ext``, in a folder of the set's name.

    Args:
        name: one of :func:`names_of_sets`.
        data_dir: a folder that holds a folder of that name.

    Raises:
        InputError: if its files are nowhere, with where to get them.
    """
    path = _FOLDER / f"{name}.toml"
    found = read_toml(path)
    places = [Path(p).expanduser() for p in (data_dir, os.environ.get(VARIABLE), CACHE) if p]
    first = found["events"][0]["file"]
    for place in places:
        for folder in dict.fromkeys((name, found.get("folder", name))):
            if (place / folder / first).exists():
                return read_declaration(path, place / folder)
    raise InputError(
        f"{name} is not on this machine and is not fetched by itself ({found['licence']}): get {first} from "
        f"{found['home']} into a folder {name}, and name the folder above it as data_dir (--data-dir) or in "
        f"{VARIABLE}"
    )


def declared_like(name: str, path: Path) -> Declaration:
    """The declaration of a data set of one table, for a file of the same layout.

    Args:
        name: one of :func:`names_of_sets`.
        path: the file, such as the whole of what the set is a sample of.
    """
    found = read_declaration(_FOLDER / f"{name}.toml", path.parent)
    (table,) = found.events
    return replace(found, name=str(path), events=(replace(table, source=path),))
