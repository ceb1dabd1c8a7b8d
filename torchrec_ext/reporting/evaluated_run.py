"""EvaluatedRun: what is kept of an evaluated run, opened for a report."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import UserValues
from torchrec_ext.training.manifest import reading_saved
from torchrec_ext.training.write_evaluation import table_suffix

Part = Literal["test", "valid", "added"]


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """The figures, the values of users and items, and the learning curve of a run.

    Args:
        name: of the run in the report.
        figures: what stands in the JSON of the evaluation.
        training: what stands in ``metrics.json``, such as the seconds; empty without one.
        values: a row for each user and one for each item.
        history: a row for each epoch, or None.
        folder: of the run, or None.
    """

    name: str
    figures: dict[str, Any]
    training: dict[str, Any]
    values: UserValues
    history: pd.DataFrame | None = None
    folder: Path | None = None

    @classmethod
    def open(cls, run: str | Path, part: Part = "test") -> "EvaluatedRun":
        """Opens the folder of a run whose evaluation was kept.

        Args:
            run: the folder.
            part: which evaluation; of the test part the newer one of ``metrics.json`` and
                ``evaluation.json``.

        Raises:
            InputError: if the folder does not hold such an evaluation.
        """
        folder = Path(run)
        names = ("metrics.json", "evaluation.json") if part == "test" else (f"evaluation_{part}.json",)
        paths = [folder / name for name in names if (folder / name).is_file()]
        if not paths:
            raise InputError(
                f"{folder} has no {' or '.join(names)}; evaluate the run with recipes/evaluate.py "
                f"--checkpoint {folder} --part {part}"
            )
        path = max(paths, key=lambda path: path.stat().st_mtime)
        trained, history = folder / "metrics.json", folder / "history.csv"
        with reading_saved(f"the evaluation in {folder}"):
            return cls(
                folder.resolve().name,
                json.loads(path.read_text()),
                json.loads(trained.read_text()) if trained.is_file() else {},
                UserValues.load(folder, table_suffix(path)),
                pd.read_csv(history) if history.is_file() else None,
                folder,
            )

    @property
    def is_ranker(self) -> bool:
        """Whether the run scores pairs rather than making lists."""
        return "scores" in self.values.users.column_names

    def titles(self) -> dict[Any, str]:
        """Item -> its title, or its id where the data has none."""
        items = self.values.items
        ids = items["item"].to_pylist()
        names = items["item_title"].to_pylist() if "item_title" in items.column_names else ids
        return {item: str(item if name is None else name) for item, name in zip(ids, names, strict=True)}

    def user(self, user: Any) -> dict[str, Any]:
        """What is kept of a user.

        Raises:
            InputError: if the user was not evaluated.
        """
        ids = pd.Index(self.values.users["user"].to_pandas().astype(str))
        place = ids.get_indexer([str(user)])[0]
        if place < 0:
            raise InputError(f"user {user!r} was not evaluated; name one of {', '.join(ids[:5])}, ...")
        return self.values.users.slice(place, 1).to_pylist()[0]

    def column(self, name: str) -> np.ndarray:
        """(U,) values of a column of the users."""
        return self.values.users[name].to_numpy()

    def lists(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The lists of a column of the users: flat values, and (U + 1,) int64 offsets."""
        flat, lengths = _flat(self.values.users[name])
        return flat.to_numpy(zero_copy_only=False), np.concatenate([[0], np.cumsum(lengths)])

    def places(self, name: str, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Lists of items as rows of ``values.items``: (n,) int64 owners and (n,) int64 rows.

        Items outside the catalogue are left out.

        Args:
            name: ``list``, ``history`` or ``targets``.
            k: the first k alone; None for all.
        """
        items, lengths = _flat(self.values.users[name])
        catalogue = self.values.items["item"].combine_chunks()
        rows = pc.fill_null(pc.index_in(items, catalogue.cast(items.type)), -1).to_numpy()
        owners = np.repeat(np.arange(len(lengths)), lengths)
        places = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        kept = (rows >= 0) & (places < (len(rows) if k is None else k))
        return owners[kept], rows[kept].astype(np.int64)

    def of_users(self, users: pd.Index) -> "EvaluatedRun":
        """The run with these users alone, in this order."""
        rows = pd.Index(self.values.users["user"].to_pandas()).get_indexer(users)
        return replace(self, values=replace(self.values, users=self.values.users.take(pa.array(rows))))


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    lists = column.combine_chunks()
    lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    return lists.flatten(), lengths
