"""What tests of reading share: files in small, and the one line of a refusal."""

import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data.events import Events
from torchrec_ext.data.sources.read import read_events
from torchrec_ext.errors import InputError


def write(path: Path, content: str | bytes | pd.DataFrame | list[dict]) -> Path:
    """Text and bytes as they stand (a name in .gz: packed), a table as Parquet, objects as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path)
        return path
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def file(folder: Path, content: str | bytes, name: str = "events.csv") -> Path:
    """A file of events."""
    return write(folder / name, content)


def refused(source: object, **arguments: object) -> str:
    """The message of the refusal, which is one line."""
    with pytest.raises(InputError) as caught:
        read_events(source, **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rows(events: Events) -> list[dict]:
    """The events as plain values; None is missing."""
    frame = events.frame.astype(object)
    records = frame.where(frame.notna(), None).to_dict("records")
    return [{n: list(v) if isinstance(v, np.ndarray) else v for n, v in row.items()} for row in records]


def read(source: object, specs: dict, **arguments: object) -> tuple[dict, list[tuple]]:
    """The values of columns (our names to settings), and rejected rows: line, column, reason, value."""
    ours = dict.fromkeys(("user", "item", "timestamp", "rating", "type"))
    arguments |= {"columns": {**ours, **specs}, "context": [name for name in specs if name not in ours]}
    with tempfile.TemporaryDirectory() as folder:
        bad = Path(folder, "bad.parquet")
        events = read_events(source, max_bad_share=1, rejected=bad, **arguments)  # type: ignore[arg-type]
        aside = pd.read_parquet(bad).drop(columns="file")
    assert events.source.rows == len(events) + len(aside)
    aside = aside.astype(object).where(aside.notna(), None)
    return events.table.to_pydict(), [*aside.itertuples(index=False, name=None)]
