"""The stages of data_path.py as one would write them with pandas, Polars or DuckDB alone, without torch.

Reading checks no value except in DuckDB, which sets aside the rows that it cannot read. Vocabularies are in
order of first appearance; ``prepare`` writes a file for each vocabulary and for each column by (user, time).
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
from data_events import CODED, Stage, Work, events_file, run_stage, stage_of

_PANDAS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".jsonl": lambda path: pd.read_json(path, lines=True, convert_dates=False),
}


def encode_pandas(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Reads events; the codes of ids and context, and their words."""
    frame, words = _PANDAS[path.suffix](path), {}
    for name in CODED:
        frame[name], words[name] = pd.factorize(frame[name])
    return frame, words


def prepare_pandas(path: Path, out: Path) -> None:
    """Reads, encodes, sorts and writes events."""
    out.mkdir()
    frame, words = encode_pandas(path)
    order = np.lexsort((frame["timestamp"], frame["user"]))
    for name in frame:
        np.save(out / f"{name}.npy", frame.pop(name).to_numpy()[order])
    for name, values in words.items():
        pd.DataFrame({"id": values}).to_parquet(out / f"{name}.parquet")


def clean_pandas(folder: Path, rows: int) -> tuple[Work, int]:
    """The first event of each pair of a user and an item, then a 5-core."""
    frame = pd.read_parquet(events_file(folder, rows, "events.parquet"))

    def work() -> pd.DataFrame:
        left = frame.sort_values("timestamp", kind="stable").drop_duplicates(["user", "item"], keep="first")
        while True:
            users, items = (left.groupby(name)[name].transform("size") for name in ("user", "item"))
            stays = (users >= 5) & (items >= 5)
            if stays.all():
                return left
            left = left[stays]

    return work, rows


_POLARS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": pl.read_csv,
    ".parquet": pl.read_parquet,
    ".jsonl": pl.read_ndjson,
}


def encode_polars(path: Path) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Reads events; the codes of ids and context, and their words."""
    frame, words = _POLARS[path.suffix](path), {}
    for name in CODED:
        words[name] = frame.select(pl.col(name).unique(maintain_order=True)).with_row_index("code")
        codes = frame.select(name).join(words[name], on=name, how="left", maintain_order="left")["code"]
        frame = frame.with_columns(codes.alias(name))
    return frame, words


def prepare_polars(path: Path, out: Path) -> None:
    """Reads, encodes, sorts and writes events."""
    out.mkdir()
    frame, words = encode_polars(path)
    frame = frame.sort("user", "timestamp", maintain_order=True)
    for name in frame.columns:
        np.save(out / f"{name}.npy", frame.drop_in_place(name).to_numpy())
    for name, values in words.items():
        values.select(pl.col(name).alias("id")).write_parquet(out / f"{name}.parquet")


def read_duckdb(path: Path, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Reads events into a table; rows that cannot be read are set aside."""
    connection = duckdb.connect(config={"threads": 1, "memory_limit": "1GB" if spill else "8GB"})
    if spill:
        connection.execute(f"set temp_directory = '{spill}'")
    source = {
        ".csv": f"read_csv('{path}', store_rejects = true)",
        ".jsonl": f"read_json('{path}', format = 'newline_delimited')",
    }
    connection.execute(f"create table events as from {source.get(path.suffix, repr(str(path)))}")
    return connection


def encode_duckdb(path: Path, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Reads events; the view ``coded`` has their codes, and a table a column its words."""
    connection = read_duckdb(path, spill)
    for name in CODED:
        connection.execute(
            f"create table {name}_words as select {name} as id, (row_number() over (order by min(rowid)) - 1)"
            f"::integer as code from events where {name} is not null group by {name}"
        )
    codes = ", ".join(f"coalesce({name}_words.code, -1) as {name}" for name in CODED)
    joins = " ".join(f"left join {name}_words on events.{name} = {name}_words.id" for name in CODED)
    connection.execute(
        f"create view coded as select {codes}, timestamp, rating, events.rowid as place from events {joins}"
    )
    return connection


def read_and_encode_duckdb(path: Path) -> duckdb.DuckDBPyConnection:
    """Reads events into a table of codes."""
    return encode_duckdb(path).execute("create table codes as from coded")


def prepare_duckdb(path: Path, out: Path) -> None:
    """Reads, encodes, sorts and writes events, in 1 GB of memory."""
    out.mkdir()
    connection = encode_duckdb(path, out / "spill")
    rows = connection.execute("select count(*) from events").fetchall()[0][0]
    ordered = "select * exclude (place) from coded order by coded.user, timestamp, place"
    reader = connection.sql(ordered).fetch_arrow_reader(200_000)
    files = [(out / f"{name}.npy").open("wb") for name in reader.schema.names]
    for file, field in zip(files, reader.schema, strict=True):
        kind = np.lib.format.dtype_to_descr(np.dtype(field.type.to_pandas_dtype()))
        header = {"descr": kind, "fortran_order": False, "shape": (rows,)}
        np.lib.format.write_array_header_1_0(file, header)
    for batch in reader:
        for file, column in zip(files, batch.columns, strict=True):
            column.to_numpy().tofile(file)
    for file in files:
        file.close()
    for name in CODED:
        words = f"(select id from {name}_words order by code)"
        connection.execute(f"copy {words} to '{out / name}.parquet'")
    connection.close()


_ENCODING = {"pandas": encode_pandas, "polars": encode_polars, "duckdb": read_and_encode_duckdb}
_PREPARING = {"pandas": prepare_pandas, "polars": prepare_polars, "duckdb": prepare_duckdb}
PEERS: dict[str, dict[str, Stage]] = {
    "read integers": {
        "pandas": stage_of(pd.read_csv, "integers.csv"),
        "polars": stage_of(pl.read_csv, "integers.csv"),
        "duckdb": stage_of(read_duckdb, "integers.csv"),
    },
    "read CSV": {name: stage_of(run, "events.csv") for name, run in _ENCODING.items()},
    "read Parquet": {name: stage_of(run, "events.parquet") for name, run in _ENCODING.items()},
    "read JSON Lines": {name: stage_of(run, "events.jsonl") for name, run in _ENCODING.items()},
    "clean": {"pandas": clean_pandas},
    "prepare": {name: stage_of(run, "events.csv", True) for name, run in _PREPARING.items()},
    "prepare strings": {name: stage_of(run, "strings.csv", True) for name, run in _PREPARING.items()},
}

if __name__ == "__main__":
    run_stage(PEERS[sys.argv[1]][sys.argv[2]], Path(sys.argv[3]), int(sys.argv[4]))
