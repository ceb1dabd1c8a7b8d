r"""Reports on a run, or compares several, from what their evaluations have kept.

python recipes/report.py runs/ml1m --output report.html
python recipes/report.py runs/gru runs/mf --baseline runs/mf --output report.html
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

import torchrec_ext as tx
from torchrec_ext.command_line import parse_settings, run_recipe, writable_file
from torchrec_ext.errors import InputError

FORMS = (".html", ".md", ".tex", ".json")


@dataclass(frozen=True)
class Settings:
    """Reports on a run, or compares several: intervals, tests, segments, pictures and lists side by side.

    Nothing is evaluated again: the recipes that train and evaluate.py keep the values of each user.
    """

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Folders of runs."""
    output: str = "report.html"
    """File of the report: .html, .md, .tex (the tables alone) or .json."""
    baseline: str | None = None
    """Folder of the run that the others are compared with. By default the first."""
    part: Literal["test", "valid", "added"] = "test"
    """Which evaluation."""
    metrics: tuple[str, ...] | None = None
    """Figures that are shown and tested. By default ndcg and hr at --k and mrr; of rankers all."""
    k: int = 10
    """Places of the lists, at most 20."""
    segments: tuple[str, ...] = ()
    """Columns of the users that divide them too, such as user_gender."""
    categories: str | None = None
    """Column of the items for diversity and calibration. By default the first that holds lists of words."""
    users: tuple[str, ...] | None = None
    """Users whose lists stand side by side. By default three on whom the runs differ most."""
    resamples: int = 1000
    """Resamples of the bootstrap."""
    seed: int = 0
    """Seed of the resamples."""
    overwrite: bool = False
    """Replace what is at --output."""


def main() -> None:
    """Opens the runs, compares them and writes the report."""
    settings, _ = parse_settings(Settings)
    output = writable_file(settings.output, settings.overwrite)
    assert output is not None
    if output.suffix not in FORMS:
        raise InputError(f"--output {output} should end in one of {', '.join(FORMS)}")
    found = tx.reporting.compare(
        [Path(run) for run in settings.runs],
        None if settings.baseline is None else Path(settings.baseline),
        part=settings.part,
        metrics=settings.metrics,
        k=settings.k,
        segments=settings.segments,
        categories=settings.categories,
        users=3 if settings.users is None else settings.users,
        resamples=settings.resamples,
        seed=settings.seed,
        draw=output.suffix == ".html",
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    found.save(output)
    print(found.frame.to_string(float_format="{:.4f}".format))
    print(f"written to {output}")


if __name__ == "__main__":
    run_recipe(main)
