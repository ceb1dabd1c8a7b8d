"""Planted ratings: the generated data of demo.py, whose best possible predictions are known."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data import Events, read_events

GENRES = (
    "Adventure", "Animation", "Comedy", "Crime", "Drama", "Fantasy", "Horror", "Romance", "Sci-Fi", "Western",
)  # fmt: skip
GENDERS = ("F", "M")
AGE_GROUPS = ("under 18", "18-24", "25-34", "35-44", "45-54", "55 and over")

_DIMENSIONS = 4  # of taste; a movie's genres say roughly where it lies among them
_CUTS = (-4.0, -2.0, 0.0, 2.5)  # an appeal beyond the k-th cut earns more than k stars; the third: 4 or 5
_AVERAGE_APPEAL = 0.3
_FIRST_DAY = 1_609_459_200  # 1 January 2021, 00:00 UTC
_YEAR = 365 * 24 * 3600
_SECONDS_BETWEEN = 16 * 3600  # about two years for a thousand ratings

# Titles name a place or a person that does not exist.
_PATTERNS = (
    "Beyond {name}", "The {noun} of {name}", "The {adjective} {noun} of {name}",
    "{name} and the {adjective} {noun}", "No {noun} in {name}", "{adjective} {name}", "Farewell, {name}",
    "Return to {name}",
)  # fmt: skip
_STARTS = (
    "Ald", "Bren", "Calv", "Corv", "Darv", "Eld", "Fen", "Gilv", "Hest", "Isk", "Jarn", "Kell",
    "Lorv", "Merv", "Norv", "Ost", "Pell", "Quen", "Rost", "Selv", "Tarv", "Ulm", "Ves", "Wyr",
)  # fmt: skip
_ENDS = ("amar", "ane", "ega", "ello", "esk", "ina", "iva", "oway", "ossa", "una", "urn", "wick")
_ADJECTIVES = (
    "Borrowed", "Broken", "Burning", "Copper", "Crooked", "Distant", "Drowned", "Empty", "Forgotten",
    "Frozen", "Golden", "Hidden", "Hollow", "Last", "Lonely", "Midnight", "Painted", "Paper", "Quiet",
    "Restless", "Scarlet", "Second", "Silver", "Sleeping", "Stolen", "Unfinished", "Velvet", "Winter",
)  # fmt: skip
_NOUNS = (
    "Archive", "Bridge", "Carnival", "Clockmaker", "Compass", "Garden", "Harbour", "Heir", "Island",
    "Lantern", "Letter", "Lighthouse", "Map", "Mirror", "Orchard", "Orchestra", "Passenger", "Piano",
    "Promise", "Railway", "River", "Shadow", "Signal", "Stranger", "Summer", "Tower", "Witness", "Wolf",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PlantedWorld:
    """Ratings, and the truth that they were drawn from.

    Args:
        events: every user's rating of every movie; users are 1 to U, movies 1 to M.
        probability: (U, M) float32, the true probability that the user rates the movie 4 or 5 at the
            time at which it is rated; row and column of an id are the id less one.
    """

    events: Events
    probability: np.ndarray

    def oracle(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(n,) float32 true probabilities of a 4 or 5 for (n,) ids each: no model can predict better."""
        return self.probability[np.asarray(users) - 1, np.asarray(items) - 1]


def planted_ratings(
    users: int = 1000,
    movies: int = 1000,
    seed: int = 0,
    *,
    taste: float = 2.3,
    quality: float = 1.25,
    mood: float = 0.6,
    drift: float = 0.7,
) -> PlantedWorld:
    """Lets every user rate every movie once, 1 to 5, in an order and at times of their own.

    A movie's appeal to a user is the product of two hidden vectors, plus the movie's quality, plus the
    user's mood. A movie's vector lies near those of its genres; a user's depends a little on gender
    and age, and moves in a straight line from the user's first rating to the last. The appeal plus
    logistic noise, cut at four points, is the rating: P(rating >= 4) = sigmoid(appeal).

    At the default size a random tenth of the ratings has an AUC of about .898 under the true
    probabilities and of about .685 under the movies' mean labels.

    Args:
        users: number of users.
        movies: number of movies.
        seed: the same seed gives the same world.
        taste: standard deviation, in units of log-odds as all that follow, of what hidden tastes add.
        quality: standard deviation of what makes a movie popular with everybody.
        mood: standard deviation of how generous a user is.
        drift: standard deviation of what a user's taste adds at the end and did not at the beginning.

    Raises:
        InputError: if there would be no user or no movie.
    """
    expect_at_least(1, users=users, movies=movies)
    rng = np.random.default_rng(seed)
    item_table, movie_vectors = _movies(movies, rng)
    user_table, user_vectors = _users(users, rng)
    step = _standard(rng.normal(size=user_vectors.shape))

    order = rng.random((users, movies)).argsort(axis=1)  # movie at each place of a user's history
    time = np.empty((users, movies))  # -1/2 at a user's first rating, 1/2 at the last
    np.put_along_axis(time, order, np.linspace(-0.5, 0.5, movies)[None], axis=1)

    scale = _DIMENSIONS**-0.5  # a product of two standard vectors then has variance 1
    appeal = (
        _AVERAGE_APPEAL
        + mood * _standard(rng.normal(size=(users, 1)))
        + quality * _standard(rng.normal(size=(movies, 1))).T
        + scale * taste * user_vectors @ movie_vectors.T
        + scale * drift * time * (step @ movie_vectors.T)
    )
    ratings = 1.0 + np.searchsorted(_CUTS, appeal + rng.logistic(size=appeal.shape))
    gaps = 1 + rng.exponential(_SECONDS_BETWEEN, (users, movies)).astype(np.int64)  # no ties
    times = _FIRST_DAY + rng.integers(0, _YEAR, (users, 1)) + gaps.cumsum(axis=1)
    frame = pd.DataFrame(
        {
            "user": np.repeat(np.arange(1, users + 1), movies),
            "item": order.ravel() + 1,
            "timestamp": times.ravel(),
            "rating": np.take_along_axis(ratings, order, axis=1).ravel(),
        }
    )
    events = read_events(frame, users=user_table, items=item_table, item_features=["genres"])
    source = replace(events.source, name=f"planted_ratings(users={users}, movies={movies}, seed={seed})")
    return PlantedWorld(replace(events, source=source), (1 / (1 + np.exp(-appeal))).astype(np.float32))


def _movies(count: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """The table of movies and (M, _DIMENSIONS) vectors near the mean of their genres' vectors."""
    centres = rng.normal(size=(len(GENRES), _DIMENSIONS))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    chosen = np.sort(rng.integers(0, len(GENRES), (count, 2)), axis=1)  # the same twice: one genre
    vectors = centres[chosen].mean(axis=1) + 0.25 * rng.normal(size=(count, _DIMENSIONS))
    table = pd.DataFrame(
        {
            "item": np.arange(1, count + 1),
            "title": invent_titles(count, rng),
            "genres": [[GENRES[g] for g in dict.fromkeys(pair)] for pair in chosen.tolist()],
            "year": rng.integers(1950, 2021, count),
        }
    )
    return table, _standard(vectors)


def invent_titles(count: int, rng: np.random.Generator) -> list[str]:
    """Titles that differ from each other; one met before becomes a sequel."""
    parts = (_PATTERNS, _STARTS, _ENDS, _ADJECTIVES, _NOUNS)
    chosen = ([words[n] for n in rng.integers(0, len(words), count)] for words in parts)
    titles = pd.Series(
        pattern.format(name=start + end, adjective=adjective, noun=noun)
        for pattern, start, end, adjective, noun in zip(*chosen, strict=True)
    )
    sequel = titles.groupby(titles).cumcount() + 1
    return titles.where(sequel == 1, titles + " " + sequel.astype(str)).to_list()


def _users(count: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """The table of users and (U, _DIMENSIONS) vectors that depend a little on gender and age group."""
    genders = rng.integers(0, len(GENDERS), count)
    ages = rng.choice(len(AGE_GROUPS), count, p=(0.05, 0.2, 0.3, 0.2, 0.15, 0.1))
    of_gender = rng.normal(size=(len(GENDERS), _DIMENSIONS))
    of_age = rng.normal(size=(len(AGE_GROUPS), _DIMENSIONS))
    vectors = rng.normal(size=(count, _DIMENSIONS)) + 0.3 * (of_gender[genders] + of_age[ages])
    table = pd.DataFrame(
        {
            "user": np.arange(1, count + 1),
            "gender": np.array(GENDERS)[genders],
            "age_group": np.array(AGE_GROUPS)[ages],
        }
    )
    return table, _standard(vectors)


def _standard(columns: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and deviation 1, so that one seed's world is as hard as another's."""
    deviation = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
