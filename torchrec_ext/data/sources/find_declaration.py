"""The declaration of a source of events: of a table, a file, a folder or a name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from torchrec_ext.data.sources.declaration import Declaration, TableFile, TableSource, read_declaration
from torchrec_ext.data.sources.known_sets import declare_known, declare_like, known_sets
from torchrec_ext.data.sources.movielens import declare_movielens, is_event_file
from torchrec_ext.errors import InputError, nearest


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
        return declare_like("criteo", path)
    # a folder of something else than Parquet files
    release = path.is_dir() and not any(p.suffix.lower() in (".parquet", ".pq") for p in path.rglob("*"))
    if format == "movielens" or format is None and (release or is_event_file(path) and not text):
        return declare_movielens(str(source), path)
    return None
