"""Small generated data sets that the tests of several packages share."""

import numpy as np
import pandas as pd

from torchrec_ext.data import Events, read_events

USERS, ITEMS = 60, 30


def small_world(
    users: int = USERS, items: int = ITEMS, *, seed: int = 0, strings: bool = False, features: bool = True
) -> Events:
    """Users who go round the items in steps of one or two, and like every item of their own parity.

    A user has 6 to 15 events, some items twice, at growing times, a day or so apart; user 1 has 40.

    Args:
        users: how many; their ids are 1 to ``users``.
        items: how many; their ids are 101 to ``100 + items``.
        seed: of everything drawn.
        strings: ids are ``"u1"`` and ``"i101"``.
        features: user gender (categorical) and age (numeric), item genres (a list) and price (numeric),
            and of an event itself its device (categorical) and hour (numeric).
    """
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(1, users + 1):
        place, time = int(rng.integers(items)), float(rng.integers(5 * 86_400))
        for _ in range(40 if user == 1 else int(rng.integers(6, 16))):
            liked = place % 2 == user % 2
            rating = int(rng.integers(4, 6) if liked != (rng.random() < 0.1) else rng.integers(1, 4))
            rows.append((user, 101 + place, 1_600_000_000 + int(time), rating))
            place = (place + int(rng.choice([1, 1, 1, 2]))) % items
            time += float(rng.integers(1, 2 * 86_400))
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp", "rating"])
    frame["device"] = rng.choice(["phone", "desk"], len(frame))
    frame["hour"] = (frame["timestamp"] // 3600 % 24).astype(float)
    of_users = pd.DataFrame({"user": np.arange(1, users + 1)})
    of_users["gender"] = np.where(of_users["user"] % 2, "f", "m")
    of_users["age"] = rng.uniform(18, 80, users)
    of_items = pd.DataFrame({"item": np.arange(101, 101 + items)})
    of_items["genres"] = [["odd" if i % 2 else "even"] + ["third"] * (i % 3 == 0) for i in of_items["item"]]
    of_items["price"] = rng.uniform(1, 10, items)
    if strings:
        for table in (frame, of_users, of_items):
            for column in {"user", "item"} & {*table.columns}:
                table[column] = column[0] + table[column].astype(str)
    if not features:
        return read_events(frame)
    return read_events(frame, users=of_users, items=of_items, context=["device", "hour"])


def rich_world(users: int = USERS, *, seed: int = 0) -> Events:
    """The small world with every kind of feature there is, some values missing, and types that weigh unlike.

    Of an event itself: its type (a purchase weighs 4, a view 1), words (a list), city (hashed), what was
    paid (a number with an indicator), the ordinal place in a shelf (buckets), a mood (a vector of two) and
    its time; of an item an image (a vector of three) and when it appeared (a time, as age); of a user the
    friends (a list) and the town, which is filled.
    """
    rng = np.random.default_rng(seed)
    frame = small_world(users, seed=seed, features=False).frame
    many = len(frame)
    frame["type"] = rng.choice(["view", "purchase"], many)
    frame["words"] = [list(rng.choice(["red", "blue", "big"], rng.integers(0, 3))) for _ in range(many)]
    frame["city"] = rng.choice(["rome", "oslo", None], many)
    frame["paid"] = np.where(rng.random(many) < 0.2, np.nan, rng.uniform(0, 99, many))
    frame["shelf"] = rng.integers(0, 50, many).astype(float)
    frame["mood"] = list(rng.normal(size=(many, 2)))
    of_users = pd.DataFrame({"user": np.arange(1, users + 1)})
    of_users["friends"] = [list(rng.integers(1, users + 1, rng.integers(0, 4))) for _ in range(users)]
    of_users["town"] = rng.choice(["pisa", "bonn", None], users)
    of_items = pd.DataFrame({"item": np.arange(101, 101 + ITEMS)})
    of_items["image"] = list(rng.normal(size=(ITEMS, 3)))
    of_items["appeared"] = 1_500_000_000.0 + rng.integers(0, 10**8, ITEMS)
    return read_events(
        frame,
        columns={
            "mood": {"column": "mood", "kind": "vector", "width": 2},
            "words": {"column": "words", "kind": "categories"},
        },
        users=of_users,
        items=of_items,
        user_features={"friends": {}, "town": {"kind": "category", "missing": "most_frequent"}},
        item_features={
            "image": {"kind": "vector", "width": 3, "scale": "unit"},
            "appeared": {"kind": "time", "parts": ["month"], "cyclic": True, "age": True},
        },
        context={
            "type": {},
            "words": {},
            "city": {"kind": "category", "hash": 16},
            "paid": {"kind": "number", "missing": "mean", "indicator": True, "scale": "log1p"},
            "shelf": {"kind": "number", "buckets": "quantile", "bins": 4},
            "mood": {"kind": "vector", "width": 2, "indicator": True},
            "timestamp": {"kind": "time", "parts": ["hour", "weekday"]},
        },
    )
