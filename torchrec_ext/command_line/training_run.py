"""The folder of a training run; a run that fails before its first checkpoint leaves everything as it was."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchrec_ext.command_line.run_settings import (
    expect_same_data,
    expect_same_source,
    load_settings,
)
from torchrec_ext.errors import InputError

if TYPE_CHECKING:
    from torchrec_ext.data import Events
    from torchrec_ext.evaluation import Report
    from torchrec_ext.training import TrainedModel


def describe_popularity(popular: Report) -> str:
    """The figures of popularity in one line, to compare a model's with.

    Example:
        >>> from torchrec_ext.evaluation import Report
        >>> popular = Report({"hr@10": 0.25, "ndcg@10": 0.125, "users": 8}, protocol="", part="test")
        >>> describe_popularity(popular)
        'popularity alone: hr@10 0.2500  ndcg@10 0.1250'
    """
    figures = (
        f"{n} {v:.4f}" for n, v in popular.items() if n.startswith(("auc", "log_loss", "hr@", "ndcg@"))
    )
    return f"popularity alone: {'  '.join(figures)}"


@contextmanager
def new_run(output: str, *, resume: bool = False, overwrite: bool = False) -> Iterator[TrainingRun]:
    """Opens the folder of a new or a resumed run, and refuses a folder in use at once; every rank enters it.

    A run that is overwritten stays until the new run has a checkpoint. If the new run fails before, for
    instance because training refuses a setting, nothing of it is left.

    Args:
        output: the folder.
        resume: resume the run in the folder; begin a new one if there is none.
        overwrite: replace the run in the folder.

    Raises:
        InputError: if the folder exists and neither is set, or if it holds something other than a run.
    """
    from torchrec_ext.distributed import world
    from torchrec_ext.training import open_run

    if resume and overwrite:
        raise InputError("--resume and --overwrite exclude each other; choose one")
    missing = [path for path in (Path(output), *Path(output).parents) if not path.exists()]
    run = TrainingRun(open_run(output, resume=resume or overwrite), resume)
    try:
        yield run
    except BaseException:
        if world()[0] == 0:
            run.rejected.unlink(missing_ok=True)
            run.undo(missing)
        raise
    if run.set_aside:
        shutil.rmtree(run.replaced, ignore_errors=True)


class TrainingRun:
    """What a training recipe writes into the folder of its run.

    Args:
        path: the folder, which exists.
        resume: whether the run in the folder is resumed.
    """

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        self.resume = resume
        self.replaced = path.with_name(f".{path.name}.replaced")
        self.rejected = path.with_name(f".{path.name}.rejected.parquet")
        """File of the rows that reading sets aside; it is moved into the folder if it has any."""
        # what rank 0 has done
        self.started = self.set_aside = False
        self.settings_before: str | None = None

    def write_settings(
        self, settings: Any, modules: dict[str, dict[str, Any]], events: Events, recipe: str
    ) -> None:
        """Writes settings.json and sets an earlier run aside; every rank calls it before training.

        Args:
            settings: the recipe's dataclass, with its :class:`DataSettings` as ``source``.
            modules: settings of the plug-ins.
            events: the data.
            recipe: name of the recipe.

        Raises:
            InputError: if the run is resumed with other data or by another recipe.
        """
        import pyarrow.parquet as pq

        from torchrec_ext.distributed import barrier, world
        from torchrec_ext.training import data_record, write_json

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
        barrier()  # rank 0 now replaces what every rank has read
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
            record = {**dataclasses.asdict(settings), "modules": modules, "data": data_record(events)}
            write_json(path, {**record, "recipe": recipe, "world_size": world()[1]})
        barrier()

    def write_metrics(self, trained: TrainedModel, report: Report, popular: Report, **more: Any) -> None:
        """Writes metrics.json and the values of each user, and prints the figures; every rank calls it.

        Args:
            trained: what ``fit`` returned.
            report: its figures on the test part.
            popular: the figures of popularity on the same part.
            more: further values to write.
        """
        from torchrec_ext.distributed import world
        from torchrec_ext.training import write_evaluation

        write_evaluation(
            self.path / "metrics.json",
            report,
            popular,
            world_size=world()[1],
            seconds=trained.seconds,
            examples_per_second=trained.examples_per_second,
            epochs=trained.epochs,
            **more,
        )
        if world()[0] == 0:
            print(report)
            print(describe_popularity(popular))
            print(
                f"trained {trained.epochs} epochs in {trained.seconds:,.0f} s; everything is in {self.path}"
            )

    def undo(self, made: list[Path]) -> None:
        """Restores what was there before, unless the run has a checkpoint; only rank 0 calls it.

        Args:
            made: the folders that did not exist before, the run's own first.
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
