"""A training run's folder: what is refused before the first checkpoint leaves everything as it was."""

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from torchrec_ext.command_line.run_settings import (
    expect_same_data,
    expect_same_source,
    load_settings,
)
from torchrec_ext.data import Events
from torchrec_ext.distributed import barrier, world
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import Report
from torchrec_ext.training import TrainedModel, data_record, open_run, write_json


def tell_popular(popular: Report) -> str:
    """The figures of popularity that a model's are read beside, in one line.

    Example:
        >>> tell_popular(Report({"hr@10": 0.25, "ndcg@10": 0.125, "users": 8}, protocol="", part="test"))
        'popularity alone: hr@10 0.2500  ndcg@10 0.1250'
    """
    told = (f"{n} {v:.4f}" for n, v in popular.items() if n.startswith(("auc", "log_loss", "hr@", "ndcg@")))
    return f"popularity alone: {'  '.join(told)}"


@contextmanager
def new_run(output: str, *, resume: bool = False, overwrite: bool = False) -> Iterator["NewRun"]:
    """The folder of a run that begins or goes on, refused at once if it is taken; every rank enters it.

    A run that is to be overwritten stays until the new one has a checkpoint to its name. If the new
    one ends before, because of a setting that training refuses for instance, nothing of it is left.

    Args:
        output: the folder.
        resume: go on with the run that is there; where none is, a new one begins.
        overwrite: replace the run that is there.

    Raises:
        InputError: if the folder exists and neither was asked for, or if it holds something that is no
            run.
    """
    if resume and overwrite:
        raise InputError("--resume and --overwrite exclude each other; choose one")
    missing = [path for path in (Path(output), *Path(output).parents) if not path.exists()]
    run = NewRun(open_run(output, resume=resume or overwrite), resume)
    try:
        yield run
    except BaseException:
        if world()[0] == 0:
            run.rejected.unlink(missing_ok=True)
            run.undo(missing)
        raise
    if run.set_aside:
        shutil.rmtree(run.replaced, ignore_errors=True)


class NewRun:
    """What a training recipe writes into the folder of its run.

    Args:
        path: the folder, which exists.
        resume: whether the run that is there goes on.
    """

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        self.resume = resume
        self.replaced = path.with_name(f".{path.name}.replaced")
        self.rejected = path.with_name(f".{path.name}.rejected.parquet")
        """File for the rows that reading sets aside; it goes into the folder if it holds any."""
        # what this process, if it is rank 0, has done
        self.started = self.set_aside = False
        self.settings_before: str | None = None

    def write_settings(
        self, settings: Any, own: dict[str, dict[str, Any]], events: Events, recipe: str
    ) -> None:
        """Writes settings.json, setting the run that was there aside; every rank calls it, before training.

        Args:
            settings: the recipe's dataclass, with its :class:`DataSettings` as ``source``.
            own: settings of the plug-ins.
            events: the data.
            recipe: name of the recipe.

        Raises:
            InputError: if the run goes on with other data, or was begun by another recipe.
        """
        path = self.path / "settings.json"
        settings = dataclasses.replace(settings, source=settings.source.resolved(events))
        if self.resume and path.is_file():
            before = load_settings(path)
            if before["recipe"] != recipe:
                raise InputError(
                    f"the run {self.path} was begun by {before['recipe']}.py; resume it with that"
                )
            expect_same_data(events, before, self.path)
            expect_same_source(settings.source, before, self.path)
        barrier()  # every rank has read what rank 0 replaces now
        if world()[0] == 0:
            if self.resume:
                self.settings_before = path.read_text() if path.is_file() else None
            elif any(self.path.iterdir()):
                shutil.rmtree(self.replaced, ignore_errors=True)
                self.path.rename(self.replaced)
                self.path.mkdir()
                self.set_aside = True
            self.started = True
            if self.rejected.is_file() and pq.read_metadata(self.rejected).num_rows:
                self.rejected.replace(self.path / "rejected.parquet")
            self.rejected.unlink(missing_ok=True)
            record = {**dataclasses.asdict(settings), "own": own, "data": data_record(events)}
            write_json(path, {**record, "recipe": recipe, "world_size": world()[1]})
        barrier()

    def write_metrics(self, trained: TrainedModel, report: Report, popular: Report, **more: Any) -> None:
        """Writes metrics.json and prints the figures; every rank calls it.

        Args:
            trained: what ``fit`` returned.
            report: its figures on the test part.
            popular: those of popularity there.
            more: what else belongs to the figures.
        """
        figures = report.as_json(
            world_size=world()[1],
            seconds=trained.seconds,
            examples_per_second=trained.examples_per_second,
            epochs=trained.epochs,
            popularity=popular.figures,
            **more,
        )
        write_json(self.path / "metrics.json", figures)
        if world()[0] == 0:
            print(report)
            print(tell_popular(popular))
            print(
                f"trained {trained.epochs} epochs in {trained.seconds:,.0f} s; everything is in {self.path}"
            )

    def undo(self, made: list[Path]) -> None:
        """Leaves things as they were, unless the run has a checkpoint; rank 0 alone calls it.

        Args:
            made: the folders that were not there, the run's own first.
        """
        has_checkpoint = any((self.path / "checkpoints").glob("step-????????"))
        if self.settings_before is not None:
            (self.path / "settings.json").write_text(self.settings_before)
        elif self.started and not has_checkpoint:
            shutil.rmtree(self.path, ignore_errors=True)
            if self.set_aside:
                self.replaced.rename(self.path)
            elif self.path not in made:
                self.path.mkdir()
        elif self.set_aside:
            shutil.rmtree(self.replaced, ignore_errors=True)
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
