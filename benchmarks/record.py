"""What a benchmark writes: the same JSON schema for all of them, which compare.py and gpu_check.sh read."""

import json
import math
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Changes when a file of an older script would be read wrongly."""


@dataclass(frozen=True)
class Row:
    """One figure.

    Args:
        case: sizes and conditions, as text that stays the same from run to run.
        contender: what was measured.
        metric: the figure and its unit, such as ``examples/s``.
        value: in that unit.
        reference: what the ratio compares with: another contender of the case, or another case.
        ratio: how many times better than the reference in the same run; larger is always better.
        low: lower quartile of the ratio over rounds, or of the value of a row without one.
        high: upper quartile.
    """

    case: str
    contender: str
    metric: str
    value: float
    reference: str | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def name(self) -> str:
        """The contender, and what it is compared with."""
        return f"{self.contender} / {self.reference}" if self.reference else self.contender

    @property
    def key(self) -> str:
        """What identifies a row among those of its benchmark."""
        return " | ".join((self.case, self.contender, self.metric, self.reference or ""))


def save(
    settings: Any, benchmark: str, rows: Sequence[Row], *, drawn: str | None = None, **more: Any
) -> None:
    """Writes the rows to ``settings.output`` and draws them in ``settings.plot``, where these are given.

    Args:
        settings: a dataclass with ``output`` and, if the benchmark draws, ``plot``.
        benchmark: name of the script.
        rows: the figures.
        drawn: the only metric to draw; None: all.
        more: see :func:`write`.
    """
    if settings.output is not None:
        write(settings.output, benchmark, rows, settings=settings, **more)
    if getattr(settings, "plot", None) is not None:
        from plot import draw  # reading needs no figures

        draw([row for row in rows if drawn in (None, row.metric)], settings.plot, benchmark)


def write(
    path: Path,
    benchmark: str,
    rows: Iterable[Row],
    *,
    device: str = "cpu",
    packages: Iterable[str] = (),
    settings: Any = None,
    **details: Any,
) -> None:
    """Writes rows with the machine, the versions and the command.

    Args:
        path: an existing file is overwritten.
        benchmark: name of the script.
        rows: the figures.
        device: that was measured.
        packages: whose versions matter besides torch, torchrec and fbgemm.
        settings: a dataclass.
        details: more that the benchmark keeps, such as the time of each round.
    """
    import machine  # imports torch, which reading does not need
    import torch

    content = {
        "schema": SCHEMA,
        "benchmark": benchmark,
        "machine": machine.describe(torch.device(device)),
        "versions": machine.versions(*packages),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "settings": None if settings is None else asdict(settings),
        "rows": [asdict(row) for row in rows],
        **details,
    }
    path.write_text(json.dumps(content, indent=1, default=str) + "\n")


def rows_of(content: Mapping[str, Any]) -> list[Row]:
    """The rows of a file that :func:`write` made, once it was parsed.

    Raises:
        ValueError: for another schema, a key that is used twice, or a ratio that is not a positive number.

    Example:
        >>> rows_of({"schema": 1, "rows": [{"case": "a", "contender": "b", "metric": "s", "value": 2}]})
        [Row(case='a', contender='b', metric='s', value=2, reference=None, ratio=None, low=None, high=None)]
    """
    if content.get("schema") != SCHEMA:
        raise ValueError(f"schema is {content.get('schema')}, expected {SCHEMA}")
    rows = [Row(**row) for row in content["rows"]]
    keys = [row.key for row in rows]
    for row in rows:
        if keys.count(row.key) > 1:
            raise ValueError(f"two rows are {row.key}")
        if row.ratio is not None and not (math.isfinite(row.ratio) and row.ratio > 0):
            raise ValueError(f"the ratio of {row.key} is {row.ratio}")
    return rows
