"""The generated data of the demo."""

import numpy as np
import pytest

from recipes.planted_ratings import GENRES, PlantedWorld, invent_titles, planted_ratings
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation.popularity import item_mean_label


@pytest.fixture(scope="module")
def world() -> PlantedWorld:
    return planted_ratings()


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mann and Whitney's count, which is the AUC where scores do not tie."""
    ranks = np.empty(len(scores))
    ranks[scores.argsort(kind="stable")] = np.arange(1, len(scores) + 1)
    positives = labels.sum()
    below = ranks[labels > 0].sum() - positives * (positives + 1) / 2
    return below / (positives * (len(labels) - positives))


def test_every_user_rates_every_movie_once_in_order_of_time_without_ties(world):
    frame = world.events.frame
    assert frame["user"].to_numpy().reshape(1000, 1000).tolist() == [[u] * 1000 for u in range(1, 1001)]
    assert not frame.duplicated(["user", "item"]).any() and set(frame["item"]) == set(range(1, 1001))
    assert set(frame["rating"]) == {1, 2, 3, 4, 5}
    assert (np.diff(frame["timestamp"].to_numpy().reshape(1000, 1000), axis=1) >= 1).all()


def test_the_best_possible_auc_and_that_of_popularity_are_as_described_and_the_truth_is_calibrated(world):
    frame = world.events.frame
    labels, items = (frame["rating"] >= 4).to_numpy(float), frame["item"].to_numpy()
    best = world.oracle(frame["user"], items)
    test = np.random.default_rng(1).random(len(frame)) < 0.1
    popular = item_mean_label(items[~test], labels[~test], items[test], 1001)
    assert auc(best[test], labels[test]) == pytest.approx(0.898, abs=0.005)
    assert auc(popular, labels[test]) == pytest.approx(0.685, abs=0.01)
    for low in (0.0, 0.25, 0.5, 0.75):
        part = (best >= low) & (best < low + 0.25)
        assert labels[part].mean() == pytest.approx(best[part].mean(), abs=0.005)


def test_tastes_drift_from_a_users_first_ratings_to_the_last():
    # With nothing else that differs, the late half minus the early half is drift and chance.
    def change_by_genre(drift: float) -> float:
        world = planted_ratings(users=300, movies=1000, taste=0, quality=0, mood=0, drift=drift)
        has_genre = np.array([[g in of for g in GENRES] for of in world.events.items["genres"]], float)
        items = world.events.frame["item"].to_numpy().reshape(300, 1000) - 1
        liked = (world.events.frame["rating"].to_numpy() >= 4).reshape(300, 1000)
        halves = []
        for part in (slice(0, 500), slice(500, 1000)):
            genres = has_genre[items[:, part]]  # (300, 500, genres)
            halves.append(np.einsum("uig,ui->ug", genres, liked[:, part]) / genres.sum(axis=1))
        return float(np.std(halves[1] - halves[0]))

    assert change_by_genre(drift=2.0) > 1.5 * change_by_genre(drift=0.0)


def test_drift_moves_the_truth_by_a_users_own_clock():
    world = planted_ratings(users=200, movies=500, taste=0, quality=0, mood=0)
    frame = world.events.frame
    log_odds = np.log(world.probability / (1 - world.probability)) - 0.3
    spread = log_odds[frame["user"] - 1, frame["item"] - 1].reshape(200, 500).std(axis=0)
    assert spread[[0, -1]] == pytest.approx([0.35, 0.35], abs=0.05)  # half of the default .7, either way
    assert spread[250] < 0.01


def test_one_seed_gives_one_world_and_another_a_different_one():
    first, again, other = (planted_ratings(40, 30, seed=s) for s in (3, 3, 4))
    for table in ("frame", "users", "items"):
        assert getattr(first.events, table).equals(getattr(again.events, table))
    assert np.array_equal(first.probability, again.probability)
    assert first.events.source == again.events.source
    assert first.events.source.sha256 != other.events.source.sha256


def test_users_and_movies_are_described_and_a_movie_lies_near_others_of_its_genres(world):
    users, items = world.events.users, world.events.items
    assert list(users.columns) == ["user", "gender", "age_group"] and len(users) == users["user"].nunique()
    assert list(items.columns) == ["item", "title", "genres", "year"] and items["title"].is_unique
    likeness = np.corrcoef((world.probability - world.probability.mean(axis=0)).T)
    genres = items["genres"].map(tuple).to_numpy()
    assert {name for of in genres for name in of} == set(GENRES)
    same = genres[:, None] == genres[None]
    np.fill_diagonal(same, False)
    assert likeness[same].mean() > likeness[~same].mean() + 0.3


def test_an_empty_world_is_refused_and_the_smallest_works():
    for users, movies, named in ((0, 5, "users"), (5, -1, "movies")):
        with pytest.raises(InputError, match=f"{named} should be at least 1, received"):
            planted_ratings(users, movies)
    assert len(planted_ratings(1, 1).events) == 1


def test_a_title_met_before_becomes_a_sequel():
    titles = invent_titles(20_000, np.random.default_rng(0))
    assert len(set(titles)) == 20_000
    assert any(title.endswith(" 2") for title in titles)
