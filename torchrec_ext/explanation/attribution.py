"""Attribution: what a score owes to each event and each feature; leave-one-out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from torchrec_ext.explanation.pair import Pair


@dataclass(frozen=True, eq=False)
class Attribution:
    """What the score of a pair owes to each part of it.

    Args:
        score: of the pair.
        events: (n,) float64, of each event that the model reads, oldest first.
        features: of each feature besides the history.
        baseline: the score that the contributions are counted from, where they add up to the difference;
            None where they need not.
        factors: (D,) float64, of each component of a dot product; None where it is not split so.
    """

    score: float
    events: np.ndarray
    features: Mapping[str, float] = field(default_factory=dict)
    baseline: float | None = None
    factors: np.ndarray | None = None


def leave_one_out(pair: Pair) -> Attribution:
    """By how much the score falls without each event, and when each feature is unknown (occlusion).

    The differences are exact; where parts act together they need not add up to the score.

    Source: "Visualizing and Understanding Convolutional Networks" (Zeiler and Fergus 2014), section 4.2.
    """
    count = len(pair.events)
    scores = pair.scores_with(np.vstack([np.ones((1, count), bool), ~np.eye(count, dtype=bool)]))
    without = pair.scores_without(pair.features)
    score = float(scores[0])
    return Attribution(
        score, score - scores[1:], dict(zip(pair.features, (score - without).tolist(), strict=True))
    )
