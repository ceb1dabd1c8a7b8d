"""Paired tests of two runs on the same users, and Holm's correction for several of them."""

import warnings

import numpy as np


def bootstrap_p(differences: np.ndarray) -> np.ndarray:
    """Two-sided p-value of a difference: twice the share of the resamples on the other side of 0.

    One is added to both counts, so that no p-value is below 2 / (resamples + 1).

    Args:
        differences: (resamples, ...) differences of the figures of two runs in the same resamples.

    Source:
        A. C. Davison, D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 4.4.

    Example:
        >>> float(bootstrap_p(np.array([1.0] * 97 + [-1.0] * 2)))
        0.06
    """
    rows = len(differences)
    least = np.minimum((differences <= 0).sum(0), (differences >= 0).sum(0))
    return np.minimum(1.0, 2 * (1 + least) / (rows + 1))


def wilcoxon_p(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test; NaN without scipy, or of values that are NaN.

    Args:
        first: (U,) values of the users in one run; equal pairs share their ranks out (Pratt's way).
        second: (U,) values of the same users in another run.

    Source:
        F. Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1 (6), 1945;
        ``scipy.stats.wilcoxon``.
    """
    try:
        from scipy import stats
    except ImportError:  # an extra: 40 MB for one test
        return float("nan")
    difference = first - second
    if np.isnan(difference).any() or not difference.any():
        return float("nan") if np.isnan(difference).any() else 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few users, for whom the normal distribution is rough
        return float(stats.wilcoxon(difference, zero_method="pratt").pvalue)


def holm(p_values: np.ndarray) -> np.ndarray:
    """(n,) p-values corrected so that the chance of any false alarm among n tests stays below the level.

    Args:
        p_values: (n,) of the single tests; NaN stays NaN and is not counted.

    Source:
        S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
        Statistics 6 (2), 1979.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03, 0.005])).round(3).tolist()
        [0.03, 0.06, 0.06, 0.02]
    """
    corrected = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return corrected
