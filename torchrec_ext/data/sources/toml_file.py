"""A TOML file that declares a data set: its tables, what their columns mean, what a model may use."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from torchrec_ext.data.checked import expect_known
from torchrec_ext.data.sources.declaration import WEIGHTS, Declaration, TableFile, declared_features
from torchrec_ext.data.sources.source_file import existing_file
from torchrec_ext.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TABLE = ("file", *(f.name for f in fields(TableFile) if f.name != "source"))
_DECLARED = tuple(f.name for f in fields(Declaration) if f.name != "files")
_TOP = (*_DECLARED, "about", "licence", "home", "folder")


def read_declaration(path: str | Path, folder: Path | None = None) -> Declaration:
    """Reads a declaration, such as those in ``torchrec_ext/data/sets``.

    Its keys are the fields of :class:`Declaration`; each of the tables in ``events``, ``users`` and ``items``
    has those of :class:`TableFile`, with ``file`` for its source.

    Args:
        path: the TOML file.
        folder: of the tables; None: the ``folder`` that the file names beside itself, or that of the file.

    Raises:
        InputError: if it is not a TOML file, has an unknown key, or declares something impossible.
    """
    found = read_toml(path)
    if folder is None:
        folder = Path(path).parent / str(found.get("folder", "."))
    try:
        expect_known(found, _TOP, "the file")
        settings = {"name": Path(path).stem, "events": (), **found}
        for key in ("events", "users", "items"):
            tables = found.get(key, [])
            tables = tables if isinstance(tables, list) else [tables]
            settings[key] = [_table(table, f"[[{key}]]", folder) for table in tables]
        if isinstance(features := found.get("features"), Mapping):
            settings["features"] = {e: declared_features(f, f"{e} feature") for e, f in features.items()}
        if isinstance(weights := found.get("weights"), Mapping):
            settings["weights"] = {**WEIGHTS, **weights}
        return Declaration(**{name: value for name, value in settings.items() if name in _DECLARED})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_toml(path: str | Path) -> dict[str, Any]:
    """The keys and values of a TOML file; InputError if it is not one."""
    try:
        return tomllib.loads(existing_file(Path(path)).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {' '.join(str(error).split())}") from error


def _table(table: Any, where: str, folder: Path) -> TableFile:
    if not isinstance(table, Mapping):
        raise InputError(f"{where} should be a table of keys and values, received {table!r}")
    expect_known(table, _TABLE, where)
    settings = dict(table)
    file = settings.pop("file", None)
    if not isinstance(file, str) or not file:
        raise InputError(f"{where} has no file, received {file!r}; set file to the path of a table")
    try:
        return TableFile(folder / Path(file).expanduser(), **settings)
    except InputError as error:
        raise InputError(f"{where} {file!r}: {error}") from None
