"""Comparison: the tables and pictures of a report, and the forms in which it is written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

TABLES = {
    "figures": "Figures",
    "tests": "Differences from the baseline",
    "segments": "Segments",
    "beyond": "Beyond accuracy",
    "costs": "Costs",
}
"""The tables of a report, and their headings."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What :func:`~torchrec_ext.reporting.report` and ``compare`` found; prints as Markdown.

    Args:
        runs: names of the runs, the baseline first.
        figures: columns ``run``, ``metric``, ``value``, ``low``, ``high`` (bounds of the interval).
        tests: columns ``run``, ``metric``, ``difference``, ``low``, ``high``, ``bootstrap p``, ``wilcoxon p``
            and both corrected by Holm's method; no rows for one run.
        segments: columns ``by``, ``segment``, ``users``, ``run``, ``metric``, ``value``, ``low``, ``high``.
        beyond: a row for each run, see :func:`~torchrec_ext.reporting.beyond_accuracy.beyond_accuracy`.
        costs: a row for each run.
        protocol: run -> what it was measured on, in words.
        notes: what a reader must know of the method.
        lists: see :func:`~torchrec_ext.reporting.side_by_side.side_by_side`, with a column ``reason`` if
            there are reasons; empty for rankers.
        about_users: what stands above the lists.
        pictures: caption -> SVG.
    """

    runs: tuple[str, ...]
    figures: pd.DataFrame
    tests: pd.DataFrame
    segments: pd.DataFrame
    beyond: pd.DataFrame
    costs: pd.DataFrame
    protocol: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...]
    lists: pd.DataFrame
    about_users: tuple[Mapping[str, Any], ...] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)

    @property
    def frame(self) -> pd.DataFrame:
        """The figures, a row a metric and a column a run."""
        wide = self.figures.pivot(index="metric", columns="run", values="value")
        return wide.loc[self.figures["metric"].unique(), self.figures["run"].unique()]

    @property
    def title(self) -> str:
        """The heading of the report."""
        return f"Report of {self.runs[0]}" if len(self.runs) == 1 else f"Comparison of {', '.join(self.runs)}"

    def __str__(self) -> str:
        return self.to_markdown()

    def tables(self) -> dict[str, pd.DataFrame]:
        """Heading -> table as it is shown: a column for each run, and intervals in one cell."""
        shown = {name: as_shown(getattr(self, name)) for name in TABLES}
        shown["figures"] = _run_by_run(shown["figures"])
        shown["tests"] = shown["tests"].drop(columns=["bootstrap p", "wilcoxon p"], errors="ignore")
        for name in ("beyond", "costs"):
            if len(shown[name]):  # with a column for each run it fits on a phone
                shown[name] = shown[name].set_index("run").T.rename_axis("figure").reset_index()
        headings = dict(TABLES)
        if len(shown["segments"]):
            headings["segments"] += f": {self.segments['metric'].iloc[0]}"
            shown["segments"] = _run_by_run(shown["segments"].drop(columns="metric"))
        return {
            headings[name]: table.rename_axis(columns=None) for name, table in shown.items() if len(table)
        }

    def to_markdown(self) -> str:
        """The tables, the protocol and the notes as Markdown."""
        parts = [f"# {self.title}"]
        for heading, table in self.tables().items():
            parts += [f"## {heading}", _markdown(table)]
        parts.append("## Protocol")
        for run, card in self.protocol.items():
            parts += [f"### {run}", "\n".join(f"- {name}: {value}" for name, value in card.items())]
        return "\n\n".join([*parts, "## Notes", "\n".join(f"- {note}" for note in self.notes)]) + "\n"

    def to_latex(self) -> str:
        """The tables as LaTeX, for the package booktabs."""
        labels = {heading: heading.split()[0].rstrip(":").lower() for heading in self.tables()}
        return "\n".join(
            table.to_latex(index=False, escape=True, caption=heading, label=f"tab:{labels[heading]}")
            for heading, table in self.tables().items()
        )

    def to_json(self) -> str:
        """All numbers; NaN is null."""
        found: dict[str, Any] = {"runs": self.runs, "protocol": self.protocol, "notes": self.notes}
        for name in (*TABLES, "lists"):
            found[name] = json.loads(getattr(self, name).to_json(orient="records", double_precision=15))
        return json.dumps(found, indent=2, default=str) + "\n"

    def to_html(self) -> str:
        """One page that needs no network, with pictures and lists; whatever stands in the data is escaped."""
        environment = Environment(
            autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        template = resources.files("torchrec_ext.reporting").joinpath("report.html").read_text("utf-8")
        cells = {(row["user"], row["place"], row["run"]): row for row in self.lists.to_dict("records")}
        return environment.from_string(template).render(report=self, cells=cells)

    def save(self, path: str | Path) -> None:
        """Writes HTML, Markdown, LaTeX or JSON, by the suffix ``.html``, ``.md``, ``.tex`` or ``.json``."""
        path = Path(path)
        made = {".html": self.to_html, ".md": self.to_markdown, ".tex": self.to_latex, ".json": self.to_json}
        new = path.with_name(f".{path.name}.new")
        new.write_text(made[path.suffix](), encoding="utf-8")
        new.rename(path)


def as_shown(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as text, the bounds of an interval behind its value; columns without a value are left out.

    Example:
        >>> as_shown(pd.DataFrame({"value": [0.12345], "low": [0.1], "high": [0.2], "p": [1e-4]}))
                             value       p
        0  0.1235 [0.1000, 0.2000]  0.0001
    """
    shown = table.dropna(axis=1, how="all").map(number)
    value = next((name for name in ("value", "difference") if name in shown), None)
    if value is not None and "low" in shown:
        bounds = " [" + shown.pop("low") + ", " + shown.pop("high") + "]"
        shown[value] += bounds.where(bounds != " [, ]", "")
    return shown


def number(cell: Any) -> str:
    """A cell as text: four places of a small number, whole numbers with their thousands.

    Example:
        >>> number(0.123456), number(12345), number(float("nan")), number("a"), number(2e-6)
        ('0.1235', '12,345', '', 'a', '2.0e-06')
    """
    if isinstance(cell, str):
        return cell
    if pd.isna(cell):
        return ""
    if not isinstance(cell, float) or cell.is_integer() and abs(cell) > 1:
        return f"{int(cell):,}"
    if 0 < abs(cell) < 5e-5:
        return f"{cell:.1e}"
    return f"{cell:.4f}" if abs(cell) < 10 else f"{cell:,.1f}" if abs(cell) < 1000 else f"{cell:,.0f}"


def _run_by_run(table: pd.DataFrame) -> pd.DataFrame:
    """The values of a table with a column for each run instead of a row."""
    keys = [name for name in table if name not in ("run", "value")]
    wide = table.set_index([*keys, "run"])["value"].unstack("run", fill_value="", sort=False)
    return wide[table["run"].unique()].reset_index()


def _markdown(table: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(row) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)
