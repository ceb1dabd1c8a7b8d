"""Collects what the steps of gpu_check.sh left, without torch, whose import may be what failed."""

import csv
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plot import draw
from record import SCHEMA, Row, rows_of
from tables import table_of


def main() -> None:
    """Writes the file, prints the figures, and exits with 1 if a step failed."""
    folder, device = Path(sys.argv[1]), sys.argv[2]
    content = collect(folder, device)
    (folder / "gpu_check.json").write_text(json.dumps(content, indent=1) + "\n")
    if rows := rows_of(content):
        print(table_of(rows))
        with suppress(ImportError):
            draw(rows, folder / "gpu_check.png", "gpu_check")
    if content["failed"]:
        print(f"failed: {', '.join(content['failed'])}")
        raise SystemExit(1)


def collect(folder: Path, device: str) -> dict[str, Any]:
    """The rows of all steps, the machine and the versions, how each step ended, and which failed.

    A step that ended well but left no figures failed too.
    """
    steps: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    known: dict[str, Any] = {"machine": None, "versions": None, "facts": None}
    for line in (folder / "steps.tsv").read_text().splitlines():
        name, status, seconds, limit = line.split("\t")
        code = int(status)
        found = _rows(folder, name, known)
        reason = None
        if code in (124, 137):
            reason = f"took more than {limit} s"
        elif code == 5 and name == "tests":
            reason = "no test was found"
        elif code:
            words = (folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
            reason = f"status {code}: {words[-1] if words else ''}"
        elif not found and name not in ("tests", "ratings", "machine"):
            reason = "left no figures"
        steps[name] = {"ok": reason is None, "reason": reason, "seconds": int(seconds), "limit": int(limit)}
        rows += found
    return {
        "schema": SCHEMA,
        "benchmark": "gpu_check",
        "command": f"gpu_check.sh OUT --device {device}",
        **known,
        "failed": [name for name, step in steps.items() if not step["ok"]],
        "steps": steps,
        "rows": rows,
    }


def _rows(folder: Path, name: str, known: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that a step left; fills in what is ``known`` of the machine."""
    rows: list[dict[str, Any]] = []
    record, history = folder / f"{name}.json", folder / "runs" / name / "history.csv"
    if record.exists():
        content = json.loads(record.read_text())
        rows += content["rows"]
        for part in known:
            known[part] = known[part] or content.get(part)
    if history.exists():
        *_, last = csv.DictReader(history.read_text().splitlines())
        rows.append(asdict(Row(name, "last epoch", "examples/s", float(last["samples_per_second"]))))
        rows.append(asdict(Row(name, "last epoch", "training loss", float(last["train_loss"]))))
    samples = folder / f"{name}.memory"
    used = [int(word) for word in samples.read_text().split() if word.isdigit()] if samples.exists() else []
    if used:
        rows.append(asdict(Row(name, "whole card", "peak MiB", max(used))))
    return rows


if __name__ == "__main__":
    main()
