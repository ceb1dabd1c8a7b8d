"""off_policy(): the click rate that another model would have had, from the lists that one has shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.errors import InputError

Numbers: TypeAlias = Sequence[float] | np.ndarray | pd.Series


@dataclass(frozen=True)
class OffPolicy:
    """Estimates of another model's click rate.

    Args:
        ips: the inverse-propensity estimate; without bias, but it varies much.
        ips_error: its standard error.
        snips: the self-normalised estimate; of a small bias, it varies less.
        snips_error: its standard error.
        logged: the click rate of what was shown.
        mean_weight: mean of the weights; far from 1, the probabilities are wrong or the exposures too few.
        effective: number of exposures of equal weight that would tell as much.
    """

    ips: float
    ips_error: float
    snips: float
    snips_error: float
    logged: float
    mean_weight: float
    effective: float

    def __str__(self) -> str:
        return (
            f"ips {self.ips:.4f} +- {self.ips_error:.4f}, snips {self.snips:.4f} +- {self.snips_error:.4f} "
            f"(shown: {self.logged:.4f}; mean weight {self.mean_weight:.3f}, as much as "
            f"{self.effective:,.0f} exposures)"
        )


def off_policy(
    clicked: Numbers,
    shown_with: Numbers,
    other_with: Numbers,
    *,
    requests: Sequence | np.ndarray | pd.Series | None = None,
    largest_weight: float | None = None,
) -> OffPolicy:
    """Estimates the click rate of another model from N logged exposures, each an item at a place of a list.

    An exposure weighs ``other_with / shown_with``: how often the other model would have shown it for each
    time that it was shown. Two things are assumed: a click depends on the request, the item and its place,
    not on the rest of the list; and whatever the other model may show had a chance to be shown, so
    exploration has to be on.

    Args:
        clicked: (N,) 1 for a click, else 0; or another reward.
        shown_with: (N,) probability, above 0, with which this item was shown at this place.
        other_with: (N,) probability with which the other model shows it there.
        requests: (N,) the list each exposure belongs to, whose exposures are not independent: standard errors
            then count lists. None takes each exposure for itself.
        largest_weight: cuts larger weights off, for less variance and some bias.

    Raises:
        InputError: for lengths that differ, numbers that are not probabilities, or a model that would have
            shown nothing of what was shown.

    Sources:
        A. Swaminathan and T. Joachims, "The self-normalized estimator for counterfactual learning", NIPS
        2015; the standard errors: A. B. Owen, "Monte Carlo theory, methods and examples", 2013, chapter 9.

    Example:
        >>> off_policy([1, 0, 0, 1], shown_with=[0.5, 0.5, 0.5, 0.5], other_with=[1, 0, 1, 1]).snips
        0.6666666666666666
    """
    rewards, logging, other = (np.asarray(values, np.float64) for values in (clicked, shown_with, other_with))
    for name, values in (("clicked", rewards), ("shown_with", logging), ("other_with", other)):
        if values.shape != (len(rewards),) or not len(values):
            raise InputError(
                f"{name} should hold a number for each of the {len(rewards)} exposures, received the shape "
                f"{values.shape}"
            )
        if not np.isfinite(values).all():
            raise InputError(f"{name} should hold finite numbers, received {values[~np.isfinite(values)][0]}")
    _expect_probabilities("shown_with", logging, logging > 0)
    _expect_probabilities("other_with", other, other >= 0)
    weights = other / logging
    if largest_weight is not None:
        if not largest_weight > 0:
            raise InputError(f"largest_weight should be more than 0, received {largest_weight}")
        weights = np.minimum(weights, largest_weight)
    if not weights.any():
        raise InputError(
            "other_with is 0 everywhere: the other model would have shown nothing of what was shown; explore "
            "more, or log more"
        )
    units = np.arange(len(rewards)) if requests is None else pd.factorize(_of_all(requests, len(rewards)))[0]
    ips = float((weights * rewards).mean())
    snips = float((weights * rewards).sum() / weights.sum())
    return OffPolicy(
        ips=ips,
        ips_error=_error(weights * rewards - ips, units, len(rewards)),
        snips=snips,
        snips_error=_error(weights * (rewards - snips), units, weights.sum()),
        logged=float(rewards.mean()),
        mean_weight=float(weights.mean()),
        effective=float(weights.sum() ** 2 / (weights**2).sum()),
    )


def epsilon_greedy(
    shown: Sequence | np.ndarray | pd.Series,
    best: Sequence | np.ndarray | pd.Series,
    epsilon: float,
    candidates: int | Numbers,
) -> np.ndarray:
    """(N,) probabilities with which a model that explores shows items at their places.

    With a probability of epsilon it shows one of its candidates, each as likely, else its best item there.

    Args:
        shown: (N,) items that were shown.
        best: (N,) the item that the model prefers at the place of each.
        epsilon: 0 for a model that does not explore.
        candidates: how many items it explores among, one number or (N,).

    Example:
        >>> epsilon_greedy(["a", "b"], ["a", "a"], epsilon=0.2, candidates=4)
        array([0.85, 0.05])
    """
    _expect_probabilities("epsilon", np.array([epsilon]), np.array([epsilon >= 0]))
    is_best: Any = np.asarray(shown, object) == np.asarray(best, object)
    return (1 - epsilon) * is_best + epsilon / np.asarray(candidates, np.float64)


def _expect_probabilities(name: str, values: np.ndarray, enough: np.ndarray) -> None:
    wrong = ~enough | (values > 1)
    if wrong.any():
        least = "above 0" if name == "shown_with" else "of 0 at least"
        raise InputError(f"{name} should be a probability {least}, 1 at most, received {values[wrong][0]:g}")


def _of_all(requests: Any, count: int) -> Any:
    if len(requests) != count:
        raise InputError(
            f"requests should name the list of each of the {count} exposures, has {len(requests)}"
        )
    return np.asarray(requests)


def _error(residuals: np.ndarray, units: np.ndarray, total: float) -> float:
    """The standard error of a ratio whose residuals sum to 0, NaN of one unit; units are independent."""
    sums = np.bincount(units, weights=residuals)
    count = len(sums)
    return float(np.sqrt((sums**2).sum() * count / (count - 1)) / total) if count > 1 else float("nan")
