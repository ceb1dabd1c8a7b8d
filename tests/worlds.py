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
