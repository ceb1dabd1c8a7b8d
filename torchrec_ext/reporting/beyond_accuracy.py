"""Beyond accuracy: what the lists of a retriever are like, apart from their hits."""

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.reporting.evaluated_run import EvaluatedRun


def beyond_accuracy(run: EvaluatedRun, k: int = 10, categories: str | None = None) -> dict[str, float]:
    """Figures of the first k places of all lists.

    - ``coverage``: share of the catalogue that is in at least one list;
    - ``gini``: 0 if every item is in as many lists, towards 1 if few items are in all of them;
    - ``novelty``: bits, the mean of -log2 of the share of users who know the item (Zhou et al. 2010);
    - ``popularity lift``: mean popularity of the lists over that of the users' newest known items, less 1
      (Abdollahpouri et al. 2019); 0 where lists are as popular as what users take anyway;
    - ``serendipity``: targets found that are not among the k most popular items, over k, as a mean over users
      (after Ge et al. 2010, with popularity as the primitive list);
    - ``diversity``: 1 less the mean cosine between the categories of two items of a list (after Ziegler et
      al. 2005);
    - ``miscalibration``: Kullback-Leibler divergence, in nats, of a list's categories from those of the
      user's newest known items, smoothed by 0.01 (Steck 2018).

    The last two need categories.

    Args:
        run: of a retriever.
        k: places, at most the 20 that are kept.
        categories: the column of the items, such as ``item_genres``; None takes the first that holds lists
            of words.

    Sources:
        Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 107, 2010;
        Ge, Delgado-Battenfeld, Jannach, "Beyond Accuracy", RecSys 2010; Ziegler et al., "Improving
        Recommendation Lists Through Topic Diversification", WWW 2005; Abdollahpouri et al., "The Unfairness
        of Popularity Bias in Recommendation", RMSE workshop at RecSys 2019; Steck, "Calibrated
        Recommendations", RecSys 2018.
    """
    items, users = run.values.items, run.values.users.num_rows
    events, known_by = items["events"].to_numpy(), items["users"].to_numpy()
    owners, rows = run.places("list", k)
    taken, past = run.places("history")
    whose, wanted = run.places("targets")
    popular = np.argsort(-events, kind="stable")[:k]
    hits = np.isin(owners * len(events) + rows, whose * len(events) + wanted) & ~np.isin(rows, popular)
    shown = np.bincount(rows, minlength=len(events))
    parts = {part["name"]: part["users"] for part in run.figures.get("card", {}).get("parts", [])}
    people = max(parts.get("train", 0), int(known_by.max()))  # users with a known event
    found = {
        "coverage": float((shown > 0).mean()),
        "gini": gini(shown),
        "novelty": float(-np.log2(np.maximum(known_by[rows], 1) / people).mean()) if len(rows) else np.nan,
        "popularity lift": float(events[rows].mean() / events[past].mean() - 1) if len(past) else np.nan,
        "serendipity": float(hits.sum() / (k * users)),
    }
    column = categories or category_column(run)
    if column is not None:
        shares = category_shares(items[column])
        found["diversity"] = diversity(shares, owners, rows, users)
        found["miscalibration"] = miscalibration(shares, (owners, rows), (taken, past), users)
    return found


def gini(counts: np.ndarray) -> float:
    """Gini's coefficient of (I,) counts, 0 if they are equal.

    Example:
        >>> gini(np.array([1, 1, 1, 1])), gini(np.array([0, 0, 0, 4])), gini(np.array([1, 2, 3, 4]))
        (0.0, 0.75, 0.25)
    """
    total, many = counts.sum(), len(counts)
    if not total:
        return float("nan")
    return float(((2 * np.arange(1, many + 1) - many - 1) * np.sort(counts)).sum() / (many * total))


def diversity(shares: np.ndarray, owners: np.ndarray, rows: np.ndarray, users: int) -> float:
    """1 less the mean cosine between two items of a list, as a mean over lists of two items or more.

    Example:
        >>> shares = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> diversity(shares, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2]), users=2)
        0.5
    """
    norms = np.linalg.norm(shares, axis=1, keepdims=True)
    units = np.divide(shares, norms, out=np.zeros_like(shares), where=norms > 0)[rows]
    lengths = np.bincount(owners, minlength=users)
    sums = _sums(units, owners, users)
    own = np.bincount(owners, (units**2).sum(1), users)
    several = lengths > 1
    pairs = (lengths * (lengths - 1))[several]
    return float(1 - (((sums**2).sum(1) - own)[several] / pairs).mean()) if several.any() else float("nan")


def miscalibration(
    shares: np.ndarray,
    listed: tuple[np.ndarray, np.ndarray],
    known: tuple[np.ndarray, np.ndarray],
    users: int,
    smoothing: float = 0.01,
) -> float:
    """Mean divergence of a list's categories from those of the history, of users who have both.

    Example:
        >>> shares, one = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0])
        >>> miscalibration(shares, (one, np.array([0])), (one, np.array([0])), users=1)
        0.0
        >>> round(miscalibration(shares, (one, np.array([1])), (one, np.array([0])), users=1), 3)
        4.605
    """
    q, p = (_normalised(_sums(shares[rows], owners, users)) for owners, rows in (listed, known))
    both = (q.sum(1) > 0) & (p.sum(1) > 0)
    q, p = q[both], p[both]
    smooth = (1 - smoothing) * q + smoothing * p
    terms = np.divide(p, smooth, out=np.ones_like(p), where=p > 0)
    return float((p * np.log(terms)).sum(1).mean()) if both.any() else float("nan")


def category_column(run: EvaluatedRun) -> str | None:
    """The first column of the items that holds lists of words; None without one."""
    columns = ((field.name, field.type) for field in run.values.items.schema)
    return next((n for n, kind in columns if pa.types.is_list(kind) or pa.types.is_large_list(kind)), None)


def category_shares(column: pa.ChunkedArray) -> np.ndarray:
    """(I, C) share of each category in an item: 1 / n of an item with n of them."""
    words = column.to_pandas()
    exploded = words.explode().dropna()
    codes, names = pd.factorize(exploded)
    found = np.zeros((len(words), max(len(names), 1)))
    np.add.at(found, (exploded.index.to_numpy(), codes), 1.0)
    return _normalised(found)


def _sums(values: np.ndarray, owners: np.ndarray, users: int) -> np.ndarray:
    found = np.zeros((users, values.shape[1]))
    np.add.at(found, owners, values)
    return found


def _normalised(values: np.ndarray) -> np.ndarray:
    totals = values.sum(1, keepdims=True)
    return np.divide(values, totals, out=np.zeros_like(values), where=totals > 0)
