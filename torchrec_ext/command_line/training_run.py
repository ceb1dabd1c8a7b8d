"""What a training recipe writes; a run that fails before its first checkpoint leaves everything as it was."""

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
    """Opens the folder of a new or a resumed run, as ``open_run`` does; every rank enters it.

    A run that is overwritten stays in its place until its successor starts to train. If a new run fails
    before its first checkpoint, for instance because training refuses a setting, nothing of it is left.

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
    with open_run(output, resume=resume or overwrite) as path:
        run = TrainingRun(path, resume)
        try:
            yield run
        except BaseException:
            if world()[0] == 0:
                run.undo()
            raise


class TrainingRun:
    """What a training recipe writes into the folder of its run.

    Args:
        path: the folder, which exists.
        resume: whether the run in the folder is resumed.
    """

    def __init__(self, path: Path, resume: bool) -> None:
        from torchrec_ext.training.run_lock import beside

        self.path = path
        self.resume = resume
        self.rejected = beside(path, "rejected.parquet")
        """File of the rows that reading sets aside; it is moved into the folder if it has any."""
        self.started = False  # by rank 0
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
        from torchrec_ext.training.run_folder import set_aside

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
                set_aside(self.path)
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

    def undo(self) -> None:
        """Restores what was there before, unless the run has a checkpoint; only rank 0 calls it."""
        from torchrec_ext.training.run_folder import has_results

        self.rejected.unlink(missing_ok=True)
        if self.settings_before is not None:
            (self.path / "settings.json").write_text(self.settings_before)
        elif self.started and not has_results(self.path):
            for entry in self.path.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
