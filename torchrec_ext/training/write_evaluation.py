"""write_evaluation(): the figures of an evaluation as JSON, and beside them the values of each user."""

import math
from pathlib import Path
from typing import Any

from torchrec_ext.distributed.process_group import world
from torchrec_ext.evaluation.report import Report
from torchrec_ext.training.run_folder import write_json


def write_evaluation(path: str | Path, report: Report, popular: Report | None = None, **more: Any) -> None:
    """Writes what ``tx.reporting`` reads, on rank 0; each file in one step.

    Args:
        path: the JSON file, in the folder of the run: ``metrics.json`` or ``evaluation.json`` for the test
            part, ``evaluation_PART.json`` for another. Beside it stand ``per_user.parquet`` and
            ``per_item.parquet``; ``per_user_PART.parquet`` of another part, ``per_user_STEM.parquet`` of a
            file ``STEM.json``.
        report: of ``evaluate(..., per_user=True)``; without the values of users the JSON alone is written.
        popular: of ``baselines.popularity``.
        more: further values to write, such as the seconds of the training.
    """
    path = Path(path)
    if popular is not None:
        more["popularity"] = {
            name: None if math.isnan(value) else value for name, value in popular.figures.items()
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, report.as_json(card=report.card, **more))
    if report.per_user is not None and world()[0] == 0:
        report.per_user.save(path.parent, table_suffix(path))


def table_suffix(path: Path) -> str:
    """What is added to the names of the tables beside a JSON file.

    Example:
        >>> [table_suffix(Path(f"{name}.json")) for name in ("metrics", "evaluation_valid", "mine")]
        ['', '_valid', '_mine']
    """
    stem = path.stem.removeprefix("evaluation").removeprefix("metrics").removeprefix("_")
    return f"_{stem}" if stem else ""
