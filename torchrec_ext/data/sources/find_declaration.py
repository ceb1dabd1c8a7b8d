"""The declaration of a source of events: of a table, a file, a folder or a name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from torchrec_ext.data.sources.declaration import Catalogue, Declaration, TableFile, TableSource
from torchrec_ext.data.sources.known_sets import declare_known, declare_like, known_sets
from torchrec_ext.data.sources.movielens import declare_movielens, is_event_file
from torchrec_ext.data.sources.toml_file import read_declaration
from torchrec_ext.errors import InputError, nearest


def find_declaration(
    source: TableSource | Declaration | Sequence[TableFile],
    format: str | None = None,
    users: TableSource | None = None,
    items: TableSource | None = None,
    data_dir: str | Path | None = None,
    catalogue: Catalogue | None = None,
    **text: Any,
) -> Declaration:
    """The declaration of a source of events.

    Args:
        source: see :func:`~torchrec_ext.data.reading.read.read_events`.
        format: of a file.
        users: a side table, which takes the place of declared ones.
        items: a side table, which takes the place of declared ones.
        data_dir: of known data sets.
        catalogue: which items and users get a row; None: as declared.
        text: settings of a text file, as of :class:`TableFile`; those at their defaults mean nothing.

    Raises:
        InputError: if the source is of no known kind, or is not there, or settings do not fit it.
    """
    default = TableFile("")
    text = {name: value for name, value in text.items() if value != getattr(default, name)}
    found = _declare(source, format, data_dir, text)
    for entity, table in (("user", users), ("item", items)):
        if table is not None:
            beside = {name: value for name, value in text.items() if name != "header"}
            features = {name: chosen for name, chosen in found.features.items() if name != entity}
            found = replace(found, **{f"{entity}s": (TableFile(table, **beside),)}, features=features)
    return found if catalogue is None else replace(found, catalogue=catalogue)


def _declare(
    source: TableSource | Declaration | Sequence[TableFile],
    format: str | None,
    data_dir: str | Path | None,
    text: dict[str, Any],
) -> Declaration:
    path = Path(source).expanduser() if isinstance(source, str | Path) else None
    if path is None:
        _refuse({"format": format, **text} if format is not None else text, f"a {type(source).__name__}")
        if isinstance(source, Declaration):
            return source
        if isinstance(source, list | tuple) and all(isinstance(table, TableFile) for table in source):
            names = [str(t.source) if isinstance(t.source, str | Path) else "a table" for t in source]
            return Declaration(" and ".join(names) or "the list", source)
        name = "Arrow table" if isinstance(source, pa.Table) else type(source).__name__
        return Declaration(name, (TableFile(source),))
    declared = _declare_known(source, path, format, data_dir)
    if declared is None:
        return Declaration(str(source), (TableFile(path, format=format, **text),))
    _refuse(text, f"{source}, which declares how it is read")
    return declared


def _declare_known(
    source: Any, path: Path, format: str | None, data_dir: str | Path | None
) -> Declaration | None:
    """The declaration of a path or name that is more than one table; None for a table."""
    if format is None and path.suffix == ".toml":
        return replace(read_declaration(path), files=(path,))
    if format in (None, "movielens") and isinstance(source, str):
        if source in known_sets():
            return declare_known(source, data_dir)
        if not path.suffix and len(path.parts) == 1 and not path.exists():
            raise InputError(
                f"no data set named {source!r}{nearest(source, known_sets())}; there are "
                f"{', '.join(known_sets())}, or give a path"
            )
    if format == "criteo":
        return declare_like("criteo", path)
    # a folder of something else than Parquet files
    release = path.is_dir() and not any(p.suffix.lower() in (".parquet", ".pq") for p in path.rglob("*"))
    if format == "movielens" or format is None and (release or is_event_file(path)):
        return declare_movielens(str(source), path)
    return None


def _refuse(settings: dict[str, Any], what: str) -> None:
    for name, value in settings.items():
        raise InputError(f"{name}={value!r} means nothing for {what}; leave it out")
