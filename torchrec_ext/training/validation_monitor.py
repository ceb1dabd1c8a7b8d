"""ValidationMonitor: validates after each epoch and compares the epochs."""

import warnings
from typing import Any

from torchrec_ext import contracts
from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.labelled_events import LabelledEvents, label_column
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.distributed import world
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.evaluation.full_ranking import expect_unknown
from torchrec_ext.evaluation.within_groups import within_groups
from torchrec_ext.retrieval.trained_model import TrainedModel

_RANKER_METRICS = ("loss", "auc", "accuracy", "rmse")
_GROUP_METRICS = ("group_auc", "group_mrr", "group_ndcg@5", "group_ndcg@10")
_RETRIEVER_METRICS = ("hr", "recall", "precision", "ndcg", "map", "mrr", "coverage")
_LOWER_IS_BETTER = ("loss", "rmse")


class ValidationMonitor:
    """Validates a model and compares the epochs.

    Args:
        trained: the model in training.
        train: the events that are known when the validation part is predicted.
        valid: the validation part; without one the newest epoch is the best.
        monitor: the metric that decides; None takes ``ndcg@10`` for a retriever, ``auc`` for a ranker, or
            ``group_auc`` if it learns within groups.
        exclude_seen: whether a retriever's lists leave out the items that a user has an event with.
        group: the label column within whose groups a ranker learns, or None.

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
        group: str | None = None,
    ) -> None:
        self.trained, self.train, self.valid, self.exclude_seen = trained, train, valid, exclude_seen
        self.group = group
        self.ranker = isinstance(trained.module, contracts.Ranker)
        items = len(train.preparation.trained.catalogue)
        self.k = min(10, items)
        of_ranker = "auc" if group is None else "group_auc"
        figure = monitor or (of_ranker if self.ranker else f"ndcg@{self.k}")
        if valid is not None:
            figure = _measurable_metric(figure, trained, train, valid, group)
        name, at, k = figure.partition("@")
        of_rankers = _RANKER_METRICS if group is None else (*_RANKER_METRICS, *_GROUP_METRICS)
        if self.ranker:
            is_known = figure in of_rankers
        elif at:
            is_known = name in _RETRIEVER_METRICS and k.isdecimal() and 1 <= int(k) <= items
            self.k = int(k) if is_known else self.k
        else:
            is_known = name == "mrr"
        if not is_known:
            names = of_rankers if self.ranker else ("mrr", *(f"{n}@{self.k}" for n in _RETRIEVER_METRICS))
            more = "" if self.ranker else f" (or another number up to the {items:,} items)"
            raise InputError(f"monitor should be one of {', '.join(names)}{more}, received {figure!r}")
        self.column = f"valid_{figure}"
        self.lower = figure in _LOWER_IS_BETTER

    def validate(self) -> dict[str, float]:
        """The validation metrics, named ``valid_...``; every rank must call it."""
        if self.valid is None:
            return {}
        figures = evaluate(
            self.trained, self.train, self.valid,
            k=(self.k,), exclude_seen=self.exclude_seen, group=self.group,
        )  # fmt: skip
        names = {"log_loss": "loss"} if self.ranker else {}
        kept = [name for name in figures if name not in ("users", "items", "groups")]
        return {f"valid_{names.get(name, name)}": float(figures[name]) for name in kept}

    def is_better(self, row: dict[str, Any], best: float | None) -> bool:
        """Whether an epoch with these metrics is better than the best so far."""
        if self.valid is None or best is None:
            return True
        return row[self.column] < best if self.lower else row[self.column] > best


def _measurable_metric(
    figure: str, trained: TrainedModel, train: Dataset, valid: Dataset, group: str | None
) -> str:
    """The metric, or another one instead, if the validation part cannot give it.

    That is the AUC instead of one within groups, none of which has two classes, and ``loss`` instead of an
    AUC of one class. Whether a part can be evaluated is known before training, so errors are raised before
    the first epoch.
    """
    if valid.log is not train.log:
        raise InputError(f"{train.name} and {valid.name} come from two splits; use parts of one")
    if not isinstance(trained.module, contracts.Ranker):
        expect_unknown(train, valid)
        return figure
    first = trained.first_task()
    examples = LabelledEvents(valid, train, Inputs(), first, one_class=True)
    labels = examples.labels[:, 0]
    if figure in _GROUP_METRICS and group is not None:
        groups = label_column(examples.log, group)[examples.events]
        if within_groups(labels, labels, groups)["groups"]:
            return figure
        _warn(f"no {group} of the {valid.name} part has both classes; the AUC is monitored instead")
        figure = "auc"
    if figure != "auc" or labels.min() < labels.max():
        return figure
    comparison = "at least" if labels.min() else "below"
    ((column, least),) = first.items()
    _warn(
        f"every {column} of the {valid.name} part is {comparison} positive={least:g}, so it has no AUC; "
        "the log-loss is monitored instead"
    )
    return "loss"


def _warn(message: str) -> None:
    if world()[0] == 0:
        warnings.warn(message, stacklevel=5)
