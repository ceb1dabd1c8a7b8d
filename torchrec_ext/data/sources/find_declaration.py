"""What a source of events is: the declaration of a table, a file, a folder or a name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from torchrec_ext.data.sources.declaration import Declaration, TableFile, TableSource
from torchrec_ext.data.sources.declared_set import declared_like, declared_set, names_of_sets
from torchrec_ext.data.sources.movielens import is_event_file, read_movielens
from torchrec_ext.data.sources.named import NAMED, find_named
from torchrec_ext.data.sources.toml_file import read_declaration
from torchrec_ext.errors import InputError, nearest


def find_declaration(
    source: TableSource | Declaration | Sequence[TableFile],
    format: str | None,
    users: TableSource | None,
    items: TableSource | None,
    data_dir: str | Path | None,
) -> Declaration:
    """The declaration of a source of events.

    Args:
        source: see :func:`~torchrec_ext.data.reading.read.read_events`.
        format: of a file.
        users: a side table, which takes the place of declared ones.
        items: a side table, which takes the place of declared ones.
        data_dir: where named data sets lie.

    Raises:
        InputError: if the source is of no known kind, or is not there.
    """
    found = _of(source, format, data_dir)
    if users is not None:
        found = replace(found, users=(TableFile(users),), features=_without(found, "user"))
    if items is not None:
        found = replace(found, items=(TableFile(items),), features=_without(found, "item"))
    return found


def _without(found: Declaration, entity: str) -> dict:
    return {name: chosen for name, chosen in found.features.items() if name != entity}


def _of(
    source: TableSource | Declaration | Sequence[TableFile], format: str | None, data_dir: str | Path | None
) -> Declaration:
    if format is not None and not isinstance(source, str | Path):
        raise InputError(f"format={format!r} says nothing of a {type(source).__name__}; leave it out")
    if isinstance(source, Declaration):
        return source
    if isinstance(source, pd.DataFrame | pa.Table):
        return Declaration(
            "DataFrame" if isinstance(source, pd.DataFrame) else "Arrow table", (TableFile(source),)
        )
    if isinstance(source, list | tuple) and all(isinstance(s, TableFile) for s in source):
        names = [str(s.source) if isinstance(s.source, str | Path) else "a table" for s in source]
        return Declaration(" and ".join(names) or "the list", tuple(source))
    if not isinstance(source, str | Path):
        raise InputError(
            "source must be a DataFrame, an Arrow table, a path, a name, a Declaration or a list of "
            f"TableFile, received {type(source).__name__}"
        )
    path = Path(source).expanduser()
    if format is None and path.suffix == ".toml":
        return replace(read_declaration(path), files=(path,))
    if format in (None, "movielens") and isinstance(source, str):
        if source in names_of_sets():
            return declared_set(source, data_dir)
        if source in NAMED:
            return _movielens(source, find_named(source, data_dir))
        if not path.suffix and len(path.parts) == 1 and not path.exists():
            known = (*NAMED, *names_of_sets())
            raise InputError(
                f"no data set named {source!r}{nearest(source, known)}; there are {', '.join(known)}, or "
                "give a path"
            )
    if format == "criteo":
        return declared_like("criteo", path)
    if format == "movielens" or format is None and (_is_release(path) or is_event_file(path)):
        return _movielens(str(source), path)
    return Declaration(str(source), (TableFile(path, format=format),))


def _is_release(path: Path) -> bool:
    """Whether a folder holds something else than Parquet files."""
    return path.is_dir() and not any(p.suffix.lower() in (".parquet", ".pq") for p in path.rglob("*"))


def _movielens(name: str, path: Path) -> Declaration:
    release = read_movielens(path)
    return Declaration(
        name,
        (TableFile(release.ratings),),
        users=() if release.users is None else (TableFile(release.users),),
        items=() if release.items is None else (TableFile(release.items),),
        features={"user": {}, "item": {}},
        files=tuple(release.files),
    )
