"""A TOML file that declares a data set: its tables, what their columns mean, what a model may use."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchrec_ext.data.features.plain import TABLE, expect
from torchrec_ext.data.sources.declaration import WEIGHTS, Declaration, TableFile, declared_features
from torchrec_ext.data.sources.source_file import existing_file
from torchrec_ext.errors import InputError, nearest
from torchrec_ext.schema import Entity

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TABLE = ("file", "columns", "format", "delimiter", "header", "type", "gather")
_TOP = (
    "name", "about", "licence", "home", "folder", "events", "users", "items", "features", "weights",
    "itemless", "order", "max_bad_share",
)  # fmt: skip
_ENTITIES: tuple[Entity, ...] = ("user", "item", "context")


def read_declaration(path: str | Path, folder: Path | None = None) -> Declaration:
    """Reads a declaration, such as those in ``torchrec_ext/data/sets``.

    Args:
        path: the TOML file.
        folder: where the tables lie; None: in the ``folder`` that the file names beside itself, or beside it.

    Raises:
        InputError: if it is no TOML, has a key that means nothing, or declares what cannot be.
    """
    found = read_toml(path)
    where = str(path)
    _expect_keys(found, _TOP, where)
    if folder is None:
        folder = Path(path).parent / str(found.get("folder", "."))
    features, weights = found.get("features", {}), found.get("weights", {})
    _expect_keys(features, _ENTITIES, f"[features] of {where}")
    expect(f"weights of {where}", weights, TABLE)
    more = {key: found[key] for key in ("order", "max_bad_share", "itemless") if key in found}
    try:
        return Declaration(
            str(found.get("name", Path(path).stem)),
            events=_tables(found, "events", folder, where),
            users=_tables(found, "users", folder, where),
            items=_tables(found, "items", folder, where),
            features={e: declared_features(features.get(e, {}), f"{e} feature") or {} for e in _ENTITIES},
            weights={**WEIGHTS, **weights},
            **more,
        )
    except InputError as error:
        message = str(error)
        raise InputError(message if where in message else f"{where}: {message}") from None


def read_toml(path: str | Path) -> dict[str, Any]:
    """A TOML file as it stands; InputError if it is none."""
    try:
        return tomllib.loads(existing_file(Path(path)).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML file: {' '.join(str(error).split())}") from error


def _tables(found: Mapping[str, Any], key: str, folder: Path, where: str) -> tuple[TableFile, ...]:
    tables = found.get(key, [])
    made = []
    for table in tables if isinstance(tables, list) else [tables]:
        _expect_keys(table, _TABLE, f"[[{key}]] of {where}")
        if not isinstance(table.get("file"), str) or not table["file"]:
            raise InputError(
                f"[[{key}]] of {where} names no file, received {table.get('file')!r}; set file to the path "
                "of a table beside it"
            )
        settings = {name: value for name, value in table.items() if name != "file"}
        made.append(TableFile(folder / Path(table["file"]).expanduser(), **settings))
    return tuple(made)


def _expect_keys(found: Any, known: Sequence[str], where: str) -> None:
    if not isinstance(found, Mapping):
        raise InputError(f"{where} must be a table of keys and values, received {found!r}")
    for key in found:
        if key not in known:
            raise InputError(f"{where} has no key {key!r}{nearest(key, known)}; there are {', '.join(known)}")
