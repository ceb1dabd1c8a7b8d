"""Reasons: which known event of a user speaks most for an item of the list."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from torchrec_ext.checks import expect_one_of
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.errors import InputError
from torchrec_ext.explanation.because import raised_most
from torchrec_ext.explanation.methods import METHODS, OF_SCORES
from torchrec_ext.explanation.pair import Pair
from torchrec_ext.models.inference import inference
from torchrec_ext.reporting.evaluated_run import EvaluatedRun
from torchrec_ext.retrieval.trained_model import TrainedModel


@dataclass(frozen=True)
class Reasons:
    """Names the event that raised the score of each listed item most, by the rule of ``because``.

    The features of the context count as unknown.

    Args:
        evaluated: the model of a run with the known events and the targets, as ``evaluate`` took them, such
            as ``lambda run: (models[run.name], train + valid, test)``.
        method: ``leave_one_out`` or ``integrated_gradients``, see :func:`torchrec_ext.explanation.explain`.
        most: items of a run that are explained, the first places first.
    """

    evaluated: Callable[[EvaluatedRun], tuple[TrainedModel, Dataset, Dataset]]
    method: str = "leave_one_out"
    most: int = 100

    def __post_init__(self) -> None:
        expect_one_of("method", self.method, OF_SCORES)

    @property
    def note(self) -> str:
        """What a reader must know of the method."""
        return (
            f"The event named under a listed item raised its score most, by {self.method}; without one no "
            f"event did. At most {self.most} items of a run are explained."
        )

    def of(self, run: EvaluatedRun, lists: pd.DataFrame) -> list[str | None]:
        """The title of an event for each row of a run's lists; None where no event raised the score.

        Raises:
            InputError: if the model reads no history, or the method does not fit it.
        """
        trained, known, targets = self.evaluated(run)
        if not trained.inputs.max_length:
            raise InputError("the model reads no history")
        trained.preparation.expect_same_rows(known.preparation, f"the split of {known.name}")
        log, _ = known.known_before(targets.before_first_target())
        users = pd.Index(log.user_ids).astype(str).get_indexer(lists["user"].astype(str))
        rows = trained.preparation.vocabularies["item"].rows(lists["item"])
        if (users < 0).any() or not rows.all():
            raise InputError("evaluated returns data of other users or items than those of the run")
        names, found = run.titles(), pd.Series(None, range(len(lists)), object)
        with inference(trained.module):
            for place in np.argsort(lists["place"], kind="stable")[: self.most]:
                pair = Pair(trained.module, trained.preparation, log, int(users[place]), int(rows[place]))
                words = [None if item is None else names.get(item, str(item)) for item in pair.items]
                found[place] = next(iter(raised_most(METHODS[self.method](pair), words, 1)), None)
        return found.tolist()
