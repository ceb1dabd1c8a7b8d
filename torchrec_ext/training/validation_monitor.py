"""ValidationMonitor: validates after each epoch and compares the epochs."""

import warnings
from typing import Any

from torchrec_ext import contracts
from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.distributed import world
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.evaluation.full_ranking import expect_unknown
from torchrec_ext.retrieval.trained_model import TrainedModel

_OF_RANKER = ("loss", "auc", "accuracy", "rmse")
_OF_RETRIEVER = ("hr", "recall", "precision", "ndcg", "map", "mrr", "coverage")
_LOWER_IS_BETTER = ("loss", "rmse")


class ValidationMonitor:
    """Validates a model and compares the epochs.

    Args:
        trained: the model in training.
        train: the events that are known when the validation part is predicted.
        valid: the validation part; without one the newest epoch is the best.
        monitor: the figure that decides, such as ``ndcg@10`` or ``auc``; None takes these.

    Raises:
        InputError: for an unknown figure, parts of two splits, or a part that cannot be evaluated.
    """

    def __init__(
        self,
        trained: TrainedModel,
        train: Dataset,
        valid: Dataset | None,
        monitor: str | None = None,
    ) -> None:
        self.trained, self.train, self.valid = trained, train, valid
        self.ranker = isinstance(trained.module, contracts.Ranker)
        items = len(train.preparation.trained.catalogue)
        self.k = min(10, items)
        figure = monitor or ("auc" if self.ranker else f"ndcg@{self.k}")
        if valid is not None:
            figure = _measurable(figure, trained, train, valid)
        name, at, k = figure.partition("@")
        if self.ranker:
            there = figure in _OF_RANKER
        elif at:
            there = name in _OF_RETRIEVER and k.isdecimal() and 1 <= int(k) <= items
            self.k = int(k) if there else self.k
        else:
            there = name == "mrr"
        if not there:
            names = _OF_RANKER if self.ranker else ("mrr", *(f"{n}@{self.k}" for n in _OF_RETRIEVER))
            more = "" if self.ranker else f" (or another number up to the {items:,} items)"
            raise InputError(f"monitor is {figure!r}; there are {', '.join(names)}{more}")
        self.column = f"valid_{figure}"
        self.lower = figure in _LOWER_IS_BETTER

    def validate(self) -> dict[str, float]:
        """The validation figures, named ``valid_...``; every rank must call it."""
        if self.valid is None:
            return {}
        figures = evaluate(self.trained, self.train, self.valid, k=(self.k,))
        names = {"log_loss": "loss"} if self.ranker else {}
        kept = [name for name in figures if name not in ("users", "items")]
        return {f"valid_{names.get(name, name)}": float(figures[name]) for name in kept}

    def is_better(self, row: dict[str, Any], best: float | None) -> bool:
        """Whether an epoch with these figures beats the best so far."""
        if self.valid is None or best is None:
            return True
        return row[self.column] < best if self.lower else row[self.column] > best


def _measurable(figure: str, trained: TrainedModel, train: Dataset, valid: Dataset) -> str:
    """The figure, or ``loss`` in place of an AUC that a validation part of one class does not have.

    What cannot be validated is known before training, so it is said then and not after the first epoch.
    """
    if valid.log is not train.log:
        raise InputError(f"{train.name} and {valid.name} come from two splits; use parts of one")
    if not isinstance(trained.module, contracts.Ranker):
        expect_unknown(train, valid)
        return figure
    first = trained.threshold()
    labels = LabelledEvents(valid, train, Inputs(), first, one_class=True).labels
    if figure != "auc" or labels.min() < labels.max():
        return figure
    if world()[0] == 0:
        liked = "at least" if labels.min() else "below"
        warnings.warn(
            f"every rating of the {valid.name} part is {liked} positive={first:g}, so it has no AUC; the "
            "log-loss is monitored in its place",
            stacklevel=4,
        )
    return "loss"
