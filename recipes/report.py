r"""Reports on a run, or compares several, from what their evaluations have kept.

python recipes/report.py runs/ml1m --output report.html
python recipes/report.py runs/gru runs/mf --baseline runs/mf --output report.html
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

import torchrec_ext as tx
from torchrec_ext.command_line import run_recipe, split_run_data, writable_file
from torchrec_ext.errors import InputError

FORMS = (".html", ".md", ".tex", ".json")


@dataclass(frozen=True)
class Settings:
    """Reports on a run, or compares several: intervals, tests, segments, pictures and lists side by side.

    Nothing is evaluated again: the recipes that train and evaluate.py keep the values of each user. Only the
    reasons need the checkpoints and the data.
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
    reasons: Literal["leave_one_out", "integrated_gradients", "none"] = "leave_one_out"
    """How to explain the lists of .html and .json, by the event that raised the score of an item most."""
    resamples: int = 1000
    """Resamples of the bootstrap."""
    seed: int = 0
    """Seed of the resamples."""
    overwrite: bool = False
    """Replace what is at --output."""


def main(settings: Settings) -> None:
    """Opens the runs, compares them and writes the report."""
    output = writable_file(settings.output, settings.overwrite)
    assert output is not None
    if output.suffix not in FORMS:
        raise InputError(f"--output {output} should end in one of {', '.join(FORMS)}")

    def evaluated(run: tx.reporting.EvaluatedRun) -> tuple:
        """What the evaluation took: the model, the known events and the targets."""
        assert run.folder is not None
        (train, valid, test), added = split_run_data(run.folder, with_added=settings.part == "added")
        if settings.part == "added" and added is None:
            raise InputError("the data has no events after those of the training")
        parts = {"test": (train + valid, test), "valid": (train, valid), "added": added}
        return tx.training.load(tx.training.find_checkpoint(run.folder)), *(parts[settings.part] or ())

    explained = settings.reasons != "none" and output.suffix in (".html", ".json")
    found = tx.reporting.compare(
        [Path(run) for run in settings.runs],
        None if settings.baseline is None else Path(settings.baseline),
        part=settings.part,
        metrics=settings.metrics,
        k=settings.k,
        segments=settings.segments,
        categories=settings.categories,
        users=3 if settings.users is None else settings.users,
        reasons=tx.reporting.Reasons(evaluated, settings.reasons) if explained else None,
        resamples=settings.resamples,
        seed=settings.seed,
        draw=output.suffix == ".html",
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    found.save(output)
    print(found.frame.to_string(float_format="{:.4f}".format))
    print(f"written to {output}")


if __name__ == "__main__":
    run_recipe(main, Settings)
