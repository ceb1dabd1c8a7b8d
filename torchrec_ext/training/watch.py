"""Watch: validates after each epoch, and knows what is better and when to stop."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from torchrec_ext import contracts
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate

_OF_RANKER = ("loss", "auc", "accuracy", "rmse")
_OF_RETRIEVER = ("hr", "recall", "precision", "ndcg", "map", "mrr", "coverage")
_LOWER_IS_BETTER = ("loss", "rmse")


class Watch:
    """Validates a model and compares the epochs.

    Args:
        model: that is trained.
        train: what is known when the validation part is predicted.
        valid: the validation part; without one the newest epoch is the best.
        monitor: the figure that decides, such as ``ndcg@10`` or ``auc``; None takes these.
        positive: least rating of an interested user, for a ranker.

    Raises:
        InputError: for a figure there is not, or parts of two splits.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Dataset,
        valid: Dataset | None,
        monitor: str | None,
        positive: float | Sequence[float],
    ) -> None:
        self.model, self.train, self.valid, self.positive = model, train, valid, positive
        self.ranker = isinstance(model, contracts.Ranker)
        items = len(train.preparation.vocabularies["item"]) - 1
        self.k = min(10, items)
        figure = monitor or ("auc" if self.ranker else f"ndcg@{self.k}")
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
            raise InputError(f"monitor names {figure!r}; there are {', '.join(names)}{more}")
        self.column = f"valid_{figure}"
        self.lower = figure in _LOWER_IS_BETTER
        if valid is not None and valid.log is not train.log:
            raise InputError(f"{train.name} and {valid.name} come from two splits; use parts of one")

    def validate(self) -> dict[str, float]:
        """The validation figures, named ``valid_...``; every rank must call it."""
        if self.valid is None:
            return {}
        figures = evaluate(self.model, self.train, self.valid, k=(self.k,), positive=self.positive)
        names = {"log_loss": "loss"} if self.ranker else {}
        kept = [name for name in figures if name not in ("users", "items")]
        return {f"valid_{names.get(name, name)}": float(figures[name]) for name in kept}

    def better(self, row: dict[str, Any], best: float | None) -> bool:
        """Whether an epoch with these figures beats the best so far."""
        if self.valid is None or best is None:
            return True
        return row[self.column] < best if self.lower else row[self.column] > best
