"""faithfulness(): does the score fall faster without the events that an explanation names first?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.checks import expect_at_least, expect_one_of
from torchrec_ext.data.events import Events
from torchrec_ext.errors import InputError
from torchrec_ext.explanation.find_pair import PairFinder
from torchrec_ext.explanation.methods import METHODS, OF_SCORES
from torchrec_ext.explanation.pair import Pair
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.trained_model import TrainedModel

_SHARES = np.linspace(0, 1, 11)
_RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Deletion curves of a method, and whether it is faithful to the model.

    Args:
        model: that was explained.
        method: that was tested.
        table: of each share of the events that is ``deleted``, the mean ``score`` where those go first that
            the method says raise it most, its standard deviation over the pairs ``score_std``, and the same
            of a ``random`` order. Scores are scaled for each pair, so that 0 is its lowest and 1 its highest.
        areas: (n,) float64, of each pair the area between its two curves, from -1 to 1.
        low, high: ends of the 95% interval of the mean area, by percentiles of a bootstrap over the pairs.
    """

    model: TrainedModel
    method: str
    table: pd.DataFrame
    areas: np.ndarray
    low: float
    high: float

    @property
    def area(self) -> float:
        """The mean area."""
        return float(self.areas.mean())

    @property
    def passes(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.low > 0

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        faster = "falls faster" if self.passes else "does not fall reliably faster"
        return (
            f"{self.method} {'is' if self.passes else 'is NOT'} faithful to this model: the score {faster} "
            f"without its events than without random ones (area {self.area:.3f}, 95% interval {self.low:.3f} "
            f"to {self.high:.3f}, standard deviation {self.areas.std():.3f}, {len(self.areas)} pairs)"
        )


def faithfulness(
    model: TrainedModel,
    data: Events,
    pairs: pd.DataFrame,
    *,
    method: str | Callable[[Pair], np.ndarray] = "leave_one_out",
    context: Mapping[str, Any] | None = None,
    least_events: int = 4,
    orders: int = 10,
    seed: int = 0,
) -> Faithfulness:
    """Tests a method of explanation with deletion curves; every rank must call it with the same arguments.

    The events of each history are deleted in ten steps: first those with the largest contribution, and in
    several random orders. A pair's area is that between the mean random curve and the method's. A method
    passes if the 95% interval of the mean area, from 2,000 resamples of the pairs, is wholly above 0.

    Args:
        model: trained by fit, opened by load, or of a bundle; it reads histories.
        data: every event known now.
        pairs: columns ``user`` and ``item``, such as ``recommend`` returns; 30 pairs or more.
        method: of :func:`explain`, besides ``factors``; or a function of a
            :class:`~torchrec_ext.explanation.pair.Pair` to the (n,) contributions of its events.
        context: as for :func:`explain`, for all pairs.
        least_events: pairs of users with fewer events are left out.
        orders: random orders a pair.
        seed: of the random orders and of the bootstrap.

    Raises:
        InputError: if the model reads no history, or fewer than two pairs have enough events.

    Sources:
        "RISE: Randomized Input Sampling for Explanation of Black-box Models" (Petsiuk, Das and Saenko 2018),
        section 4.2 (deletion); "ERASER" (DeYoung et al. 2020), section 4.2 (comprehensiveness).

    Example:
        >>> import torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdab")})
        >>> train, _, _ = tx.data.leave_last_out(events := tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=4, encoder="mean_pool")
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> pairs = pd.DataFrame({"user": [1, 2, 3], "item": ["a", "b", "c"]})
        >>> found = faithfulness(trained, events, pairs)
        >>> found.table.columns.tolist()
        ['deleted', 'score', 'score_std', 'random', 'random_std']
    """
    expect_at_least(1, orders=orders, least_events=least_events)
    name = method if isinstance(method, str) else getattr(method, "__name__", "the method")
    if isinstance(method, str):
        expect_one_of("method", method, (*OF_SCORES, "attention"))
    finder = PairFinder(model, data)
    if not model.inputs.max_length:
        raise InputError("faithfulness deletes events of histories, but this model reads no history")
    rng, curves = np.random.default_rng(seed), []
    with inference(model.module):
        for user, item in zip(pairs["user"], pairs["item"], strict=True):
            pair = finder.find(user, item, context)
            if len(pair.events) >= least_events:
                events = METHODS[method](pair).events if isinstance(method, str) else method(pair)
                curves.append(_curves(pair, np.asarray(events), orders, rng))
    if len(curves) < 2:
        raise InputError(
            f"pairs has {len(curves)} users with at least {least_events} events, expected 2 or more; name "
            "other users, or set least_events lower"
        )
    own, by_chance = np.stack(curves, 1)
    gaps = by_chance - own
    areas = (gaps[:, 1:] + gaps[:, :-1]).mean(1) / 2  # trapezoids of equal width
    means = areas[rng.integers(len(areas), size=(_RESAMPLES, len(areas)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    table = pd.DataFrame({
        "deleted": _SHARES,
        "score": own.mean(0), "score_std": own.std(0),
        "random": by_chance.mean(0), "random_std": by_chance.std(0),
    })  # fmt: skip
    return Faithfulness(model, name, table, areas, low, high)


def expect_faithful(tested: Faithfulness | None, model: TrainedModel, method: str) -> None:
    """Refuses a method that has not passed the test on a model with an InputError."""
    if tested is None or tested.model is not model or tested.method != method:
        received = "None" if tested is None else f"a test of {tested.method} on {tested.model!r}"
        raise InputError(
            f"tested should be what faithfulness(..., method={method!r}) found for this model, received "
            f"{received}; test it first, or use leave_one_out"
        )
    if not tested.passes:
        raise InputError(f"tested does not pass: {tested.verdict}; use leave_one_out")


def _curves(pair: Pair, events: np.ndarray, orders: int, rng: np.random.Generator) -> np.ndarray:
    """(2, 11) scores from 0 to 1 of the method's order and of the mean random one, step by step."""
    count = len(events)
    chosen = [np.argsort(-events, kind="stable"), *(rng.permutation(count) for _ in range(orders))]
    places = np.argsort(np.stack(chosen), axis=1)  # when each event is deleted
    kept = places[:, None] >= np.round(_SHARES * count)[:, None]
    scores = pair.scores_with(kept.reshape(-1, count)).reshape(len(chosen), -1)
    span = np.ptp(scores)
    scaled = (scores - scores.min()) / span if span > 0 else np.zeros_like(scores)
    return np.stack([scaled[0], scaled[1:].mean(0)])
