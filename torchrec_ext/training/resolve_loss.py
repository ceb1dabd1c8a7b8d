"""resolve_loss(): turns the argument ``loss`` of fit into a module."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from torchrec_ext import contracts, plugins
from torchrec_ext.errors import InputError
from torchrec_ext.losses import BinaryCrossEntropy, SoftmaxCrossEntropy


class RetrievalFunctionLoss(contracts.RetrievalLoss):
    """A plain function of ``(logits_NC, labels_N, log_q_C)`` as a loss.

    Args:
        function: returns ``(N,)`` losses.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, logits_NC: Tensor, labels_N: Tensor, log_q_C: Tensor | None = None) -> Tensor:
        return self.function(logits_NC, labels_N, log_q_C)


class RankingFunctionLoss(contracts.RankingLoss):
    """A plain function of ``(logits, labels)`` as a loss.

    Args:
        function: returns losses in the shape of the logits.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.function(logits, labels)


def describe_loss(loss: contracts.RetrievalLoss | contracts.RankingLoss) -> dict[str, Any] | None:
    """A loss as plain values: its class and arguments, or where its function is defined."""
    if isinstance(loss, (RetrievalFunctionLoss, RankingFunctionLoss)):
        function = loss.function
        name = getattr(function, "__qualname__", type(function).__name__)
        return {"function": f"{getattr(function, '__module__', '')}:{name}"}
    return plugins.specification(loss)


def resolve_loss(
    loss: str | type[nn.Module] | nn.Module | Callable[..., Any] | None, model: nn.Module
) -> contracts.RetrievalLoss | contracts.RankingLoss:
    """Turns a name, class, instance or function into a loss module.

    Args:
        loss: see :func:`~torchrec_ext.training.fit`.
        model: a retriever or a ranker; it decides what None and a function become.

    Raises:
        InputError: for an unknown name, or a module that is not a loss.

    Example:
        >>> from torchrec_ext.schema import Feature, Schema, Table
        >>> from torchrec_ext.models import TwoTower
        >>> tables = Table("user", 11), Table("item", 21)
        >>> features = Feature("user", "user", "user", "user"), Feature("item", "item", "item", "item")
        >>> resolve_loss(None, TwoTower(Schema(tables, features), 8)).candidates is None
        True
    """
    ranking = isinstance(model, contracts.Ranker)
    if loss is None:
        return BinaryCrossEntropy() if ranking else SoftmaxCrossEntropy()
    if isinstance(loss, (str, type, nn.Module)):
        return plugins.make("losses", loss)
    if not callable(loss):
        raise InputError(
            f"loss should be a name, a class, a module or a function; received {type(loss).__name__}"
        )
    arguments = ("logits", "labels") if ranking else ("logits_NC", "labels_N", "log_q_C")
    try:
        inspect.signature(loss).bind(*arguments)
    except ValueError:  # a built-in function, whose arguments Python cannot tell
        pass
    except TypeError as error:
        name = getattr(loss, "__name__", type(loss).__name__)
        raise InputError(f"loss should take ({', '.join(arguments)}), {name} does not: {error}") from error
    return RankingFunctionLoss(loss) if ranking else RetrievalFunctionLoss(loss)
