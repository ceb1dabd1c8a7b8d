import numpy as np
import pytest

from torchrec_ext.evaluation.popularity import item_counts, item_mean_label

ITEMS = np.array([1, 1, 1, 2, 2])
LABELS = np.array([1.0, 0.0, 0.0, 1.0, 1.0])


def test_the_mean_is_drawn_towards_the_mean_of_all_by_the_prior():
    # Three of five labels are 1. Item 1: (1 + 2 * .6) / (3 + 2); item 2: (2 + 2 * .6) / (2 + 2).
    predicted = item_mean_label(ITEMS, LABELS, np.array([2, 1, 2]), catalogue=4, prior=2)
    assert predicted == pytest.approx([0.8, 0.44, 0.8])


def test_an_item_without_a_training_event_gets_the_mean_of_all():
    assert item_mean_label(ITEMS, LABELS, np.array([0, 3]), catalogue=4) == pytest.approx([0.6, 0.6])


def test_counts_cover_the_catalogue():
    assert item_counts(ITEMS, catalogue=5).tolist() == [0, 3, 2, 0, 0]
