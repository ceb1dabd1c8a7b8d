"""Popularity: what a model must beat, computed from the training part alone."""

import numpy as np


def item_mean_label(
    train_items: np.ndarray,
    train_labels: np.ndarray,
    items: np.ndarray,
    catalogue: int,
    prior: float = 10.0,
) -> np.ndarray:
    """For ranking: the mean label of each item, drawn towards the mean of all where there are few.

    Args:
        train_items: (N,) int item rows of the training events, at least one.
        train_labels: (N,) their labels, 0 or 1.
        items: (n,) int item rows to predict.
        catalogue: number of item rows.
        prior: how many labels of average value are added to every item; more than 0, so that an item
            without a training event gets the mean of all.

    Returns:
        (n,) float64 probabilities.

    Example:
        >>> item_mean_label(np.array([1, 1, 2]), np.array([1, 1, 0]), np.array([1, 2]), 3, prior=1)
        array([0.88888889, 0.33333333])
    """
    sums = np.bincount(train_items, weights=train_labels, minlength=catalogue)
    means = (sums + prior * np.mean(train_labels)) / (item_counts(train_items, catalogue) + prior)
    return means[items]


def item_counts(train_items: np.ndarray, catalogue: int) -> np.ndarray:
    """For retrieval: how many training events each item has; the most popular come first.

    Args:
        train_items: (N,) int item rows of the training events.
        catalogue: number of item rows.

    Returns:
        (catalogue,) int64 counts.

    Example:
        >>> item_counts(np.array([1, 1, 2]), 4)
        array([0, 2, 1, 0])
    """
    return np.bincount(train_items, minlength=catalogue)
