"""The declaration of a source of events: of a table, a file, a folder or a name."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from torchrec_ext.data import sets
from torchrec_ext.data.checked import expect_known
from torchrec_ext.data.sources.declaration import Declaration, TableFile, TableSource
from torchrec_ext.data.sources.movielens import (
    ARCHIVES,
    VARIABLE,
    declare_movielens,
    download,
    is_event_file,
)
from torchrec_ext.data.sources.source_file import existing_file
from torchrec_ext.errors import InputError, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

log = logging.getLogger(__name__)

CACHE = Path("~/.cache/torchrec_ext")
_SETS = Path(sets.__path__[0])


def find_declaration(
    source: TableSource | Declaration | Sequence[TableFile],
    format: str | None = None,
    users: TableSource | None = None,
    items: TableSource | None = None,
    data_dir: str | Path | None = None,
    **text: Any,
) -> Declaration:
    """The declaration of a source of events, from the arguments of ``read_events``.

    Settings of text files mean nothing at their defaults. They hold for the events and for ``users`` and
    ``items``, but ``header`` for the events alone.
    """
    usual = TableFile("")
    text = {name: value for name, value in text.items() if value != getattr(usual, name)}
    is_path = isinstance(source, str | Path)
    found = _of_path(source, format, data_dir, bool(text)) if is_path else _of_tables(source)
    if found is None:
        file: dict[str, Any] = {"source": Path(str(source)).expanduser(), "format": format, **text}
        found = Declaration(str(source), (TableFile(**file),))
    elif unused := list(text) + ["format"] * (format is not None and not is_path):
        what = source if is_path else f"a {type(source).__name__}"
        raise InputError(f"{unused[0]} means nothing for {what}; leave it out")
    text.pop("header", None)
    for entity, table in (("user", users), ("item", items)):
        if table is not None:
            features = {name: chosen for name, chosen in found.features.items() if name != entity}
            side: dict[str, Any] = {f"{entity}s": (TableFile(table, **text),), "features": features}
            found = replace(found, **side)
    return found


def _of_tables(source: Any) -> Declaration:
    if isinstance(source, Declaration):
        return source
    if isinstance(source, list | tuple) and all(isinstance(table, TableFile) for table in source):
        names = [str(t.source) if isinstance(t.source, str | Path) else "a table" for t in source]
        return Declaration(" and ".join(names) or "the list", source)
    name = "Arrow table" if isinstance(source, pa.Table) else type(source).__name__
    return Declaration(name, [TableFile(source)])


def _of_path(source: Any, format: str | None, data_dir: str | Path | None, text: bool) -> Declaration | None:
    """The declaration that a path or name stands for; None for a single table."""
    path = Path(source).expanduser()
    if format is None and path.suffix == ".toml":
        return replace(read_declaration(path), files=(path,))
    if format in (None, "movielens") and isinstance(source, str):
        names = known_sets()
        if source in names:
            return declare_known(source, data_dir)
        if not path.suffix and len(path.parts) == 1 and not path.exists():
            raise InputError(
                f"no data set named {source!r}{nearest(source, names)}; give a path, or one of "
                f"{', '.join(names)}"
            )
    if format == "criteo":
        found = read_declaration(_SETS / "criteo.toml", path.parent)
        return replace(found, name=str(path), events=(replace(found.events[0], source=path),))
    # a folder of something else than Parquet files
    release = path.is_dir() and not any(p.suffix.lower() in (".parquet", ".pq") for p in path.rglob("*"))
    if format == "movielens" or format is None and (release or is_event_file(path) and not text):
        return declare_movielens(str(source), path)
    return None


def known_sets() -> tuple[str, ...]:
    """The names of all known data sets: those that are downloaded, then those declared in ``data/sets``."""
    return (*ARCHIVES, *sorted(path.stem for path in _SETS.glob("*.toml")))


def declare_known(name: str, data_dir: str | Path | None = None) -> Declaration:
    """The declaration of a known data set, whose folder lies in ``data_dir`` or where sets usually lie."""
    if name in ARCHIVES:
        archived, first, _ = ARCHIVES[name]
        target = Path(data_dir or CACHE).expanduser() / name
        folder = _find((name, archived), first, data_dir) or download(name, target)
        log.info("%s: read from %s", name, folder)
        return declare_movielens(name, folder)
    path = _SETS / f"{name}.toml"
    found = read_toml(path)
    first = found["events"][0]["file"]
    if place := _find((name, found.get("folder", name)), first, data_dir):
        return read_declaration(path, place)
    raise InputError(
        f"{name} is not on this machine and is not downloaded ({found['licence']}): get {first} from "
        f"{found['home']} into a folder {name}, and name the folder above it as data_dir (--data-dir) or in "
        f"{VARIABLE}"
    )


def _find(names: tuple[str, str], first: str, data_dir: str | Path | None) -> Path | None:
    """The folder of one of these names that holds the first file."""
    places = [Path(p).expanduser() for p in (data_dir, os.environ.get(VARIABLE), CACHE) if p]
    folders = (place / name for place in places for name in names)
    return next((folder for folder in folders if (folder / first).exists()), None)


def read_declaration(path: str | Path, folder: Path | None = None) -> Declaration:
    """Reads a declaration, such as those in ``torchrec_ext/data/sets``.

    Its keys are the fields of :class:`Declaration`, those of its tables of :class:`TableFile`, with ``file``
    for ``source``. They lie in ``folder``, else in the ``folder`` that it names beside itself, or beside it.
    """
    found = read_toml(path)
    folder = folder or Path(path).parent / str(found.get("folder", "."))
    declared = [f.name for f in fields(Declaration) if f.name != "files"]
    try:
        expect_known(found, (*declared, "about", "licence", "home", "folder"), "the file")
        settings = {"name": Path(path).stem, "events": [], **found}
        for key in ("events", "users", "items"):
            tables = settings.get(key, [])
            tables = tables if isinstance(tables, list) else [tables]
            settings[key] = [_table(table, f"[[{key}]]", folder) for table in tables]
        return Declaration(**{name: value for name, value in settings.items() if name in declared})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_toml(path: str | Path) -> dict[str, Any]:
    """The keys and values of a TOML file."""
    try:
        return tomllib.loads(existing_file(Path(path)).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {' '.join(str(error).split())}") from error


def _table(table: Any, where: str, folder: Path) -> TableFile:
    if not isinstance(table, Mapping):
        raise InputError(f"{where} should be a table of keys and values, received {table!r}")
    expect_known(table, ["file", *(f.name for f in fields(TableFile) if f.name != "source")], where)
    settings = dict(table)
    file = settings.pop("file", None)
    if not isinstance(file, str) or not file:
        raise InputError(f"{where} has no file, received {file!r}; set file to the path of a table")
    try:
        return TableFile(folder / Path(file).expanduser(), **settings)
    except InputError as error:
        raise InputError(f"{where} {file!r}: {error}") from None
