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

_RANKER_METRICS = ("loss", "auc", "accuracy", "rmse")
_RETRIEVER_METRICS = ("hr", "recall", "precision", "ndcg", "map", "mrr", "coverage")
_LOWER_IS_BETTER = ("loss", "rmse")


class ValidationMonitor:
    """Validates a model and compares the epochs.

    Args:
        trained: the model in training.
        train: the events that are known when the validation part is predicted.
        valid: the validation part; without one the newest epoch is the best.
        monitor: the metric that decides; None takes ``ndcg@10`` for a retriever, ``auc`` for a ranker.
        exclude_seen: whether a retriever's lists leave out the items that a user has an event with.

    Raises:
        InputError: for an unknown metric, parts of two splits, or a part that cannot be evaluated.
    """

    def __init__(
        self,
        trained: TrainedModel,
        train: Dataset,
        valid: Dataset | None,
        monitor: str | None = None,
        *,
        exclude_seen: bool = True,
    ) -> None:
        self.trained, self.train, self.valid, self.exclude_seen = trained, train, valid, exclude_seen
        self.ranker = isinstance(trained.module, contracts.Ranker)
        items = len(train.preparation.trained.catalogue)
        self.k = min(10, items)
        figure = monitor or ("auc" if self.ranker else f"ndcg@{self.k}")
        if valid is not None:
            figure = _measurable_metric(figure, trained, train, valid)
        name, at, k = figure.partition("@")
        if self.ranker:
            is_known = figure in _RANKER_METRICS
        elif at:
            is_known = name in _RETRIEVER_METRICS and k.isdecimal() and 1 <= int(k) <= items
            self.k = int(k) if is_known else self.k
        else:
            is_known = name == "mrr"
        if not is_known:
            names = (
                _RANKER_METRICS if self.ranker else ("mrr", *(f"{n}@{self.k}" for n in _RETRIEVER_METRICS))
            )
            more = "" if self.ranker else f" (or another number up to the {items:,} items)"
            raise InputError(f"monitor should be one of {', '.join(names)}{more}, received {figure!r}")
        self.column = f"valid_{figure}"
        self.lower = figure in _LOWER_IS_BETTER

    def validate(self) -> dict[str, float]:
        """The validation metrics, named ``valid_...``; every rank must call it."""
        if self.valid is None:
            return {}
        figures = evaluate(self.trained, self.train, self.valid, k=(self.k,), exclude_seen=self.exclude_seen)
        names = {"log_loss": "loss"} if self.ranker else {}
        kept = [name for name in figures if name not in ("users", "items")]
        return {f"valid_{names.get(name, name)}": float(figures[name]) for name in kept}

    def is_better(self, row: dict[str, Any], best: float | None) -> bool:
        """Whether an epoch with these metrics is better than the best so far."""
        if self.valid is None or best is None:
            return True
        return row[self.column] < best if self.lower else row[self.column] > best


def _measurable_metric(figure: str, trained: TrainedModel, train: Dataset, valid: Dataset) -> str:
    """The metric, or ``loss`` instead of an AUC, which a validation part of one class does not have.

    Whether a part can be evaluated is known before training, so errors are raised before the first epoch.
    """
    if valid.log is not train.log:
        raise InputError(f"{train.name} and {valid.name} come from two splits; use parts of one")
    if not isinstance(trained.module, contracts.Ranker):
        expect_unknown(train, valid)
        return figure
    first = trained.first_task()
    labels = LabelledEvents(valid, train, Inputs(), first, one_class=True).labels
    if figure != "auc" or labels.min() < labels.max():
        return figure
    if world()[0] == 0:
        comparison = "at least" if labels.min() else "below"
        ((column, least),) = first.items()
        warnings.warn(
            f"every {column} of the {valid.name} part is {comparison} positive={least:g}, so it has no AUC; "
            "the log-loss is monitored instead",
            stacklevel=4,
        )
    return "loss"
