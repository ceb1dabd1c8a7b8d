"""Runs every benchmark with --quick and names the ratios that fell by more than a fifth of the stored ones.

python benchmarks/compare.py --run-only
python benchmarks/compare.py
python benchmarks/compare.py --store --only batching
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from record import rows_of

HERE = Path(__file__).parent
Ratios = dict[str, float]
"""Key of a row -> its ratio."""


@dataclass(frozen=True)
class Settings:
    """Compares ratios within a run, never times: they hardly depend on the machine and its load."""

    only: tuple[str, ...] = ()
    """Benchmarks to run, such as batching; by default all that have --quick."""
    repeats: int = 3
    """Runs of each; the median of a ratio counts."""
    fall: float = 0.2
    """Share of a stored ratio that it may fall by."""
    run_only: bool = False
    """Run each once and compare nothing: do they all work?"""
    store: bool = False
    """Store the ratios instead of comparing them."""
    stored: Path = HERE / "stored.json"
    """File of stored ratios."""
    limit: float = 300.0
    """Seconds after which a benchmark is stopped."""


def main() -> None:
    """Exits with 1 if a benchmark fails or a ratio fell."""
    settings = tyro.cli(Settings)
    known = quick_benchmarks()
    if unknown := set(settings.only) - set(known):
        print(f"error: --only {' '.join(sorted(unknown))}: give some of {', '.join(known)}", file=sys.stderr)
        raise SystemExit(2)
    stored = json.loads(settings.stored.read_text()) if settings.stored.exists() else {}
    problems: list[str] = []
    for name in settings.only or known:
        began, repeats = time.perf_counter(), 1 if settings.run_only else settings.repeats
        try:
            runs = [run_quick(name, settings.limit) for _ in range(repeats)]
        except (RuntimeError, ValueError) as error:
            problems.append(f"{name}: {error}")
            print(f"{name}: failed: {error}", flush=True)
            continue
        ratios = medians([ratios_of(run) for run in runs])
        took = f"{(time.perf_counter() - began) / repeats:.0f} s a run, {len(ratios)} ratios"
        print(f"{name}: {took}", flush=True)
        if settings.store:
            stored[name] = {part: runs[-1][part] for part in ("machine", "versions")} | {"ratios": ratios}
        elif not settings.run_only:
            before = stored.get(name, {}).get("ratios", {})
            problems += [f"{name}: {line}" for line in fallen(ratios, before, settings.fall)]
            if new := len(ratios.keys() - before.keys()):
                print(f"  {new} ratios are not stored: see --store")
    if settings.store:
        settings.stored.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
    print("\n".join(problems) or "nothing fell" * (not settings.run_only and not settings.store))
    raise SystemExit(bool(problems))


def quick_benchmarks() -> list[str]:
    """Names of the scripts beside this one that have ``--quick``, in order."""
    texts = {path.stem: path.read_text() for path in sorted(HERE.glob("*.py")) if path.stem != "compare"}
    return [name for name, text in texts.items() if "__main__" in text and "run_command(" in text]


def run_quick(name: str, limit: float) -> dict[str, Any]:
    """Runs a benchmark in a process of its own and returns what it wrote.

    Raises:
        RuntimeError: if it fails or takes longer than the limit, with its last line.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "record.json"
        command = [sys.executable, str(HERE / f"{name}.py"), "--quick", "--output", str(output)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"took more than {limit:g} s") from None
        if done.returncode:
            raise RuntimeError((done.stderr.strip() or f"status {done.returncode}").splitlines()[-1])
        content: dict[str, Any] = json.loads(output.read_text())
        return content


def ratios_of(content: Mapping[str, Any]) -> Ratios:
    """The ratios of a record; none of one that does not have the common schema yet."""
    if "schema" not in content:
        return {}
    return {row.key: row.ratio for row in rows_of(content) if row.ratio is not None}


def medians(runs: list[Ratios]) -> Ratios:
    """The median of each ratio over runs."""
    return {key: statistics.median([run[key] for run in runs if key in run]) for key in runs[0]}


def fallen(now: Ratios, before: Ratios, fall: float) -> list[str]:
    """A line for each ratio that fell by more than a share, the deepest fall first, and each that is missing.

    Example:
        >>> fallen({"a": 0.7, "b": 0.9}, {"a": 1.0, "b": 1.0, "c": 2.0}, fall=0.2)
        ['a fell by 30%: 1 -> 0.7', 'c was not measured']
    """
    shares = {key: now[key] / before[key] - 1 for key in before if key in now}
    lines = [
        f"{key} fell by {-share:.0%}: {before[key]:.3g} -> {now[key]:.3g}"
        for key, share in sorted(shares.items(), key=lambda pair: pair[1])
        if share < -fall
    ]
    return lines + [f"{key} was not measured" for key in before if key not in now]


if __name__ == "__main__":
    main()
