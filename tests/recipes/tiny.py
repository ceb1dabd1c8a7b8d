"""Tiny generated data: events with words for ids, and tables of users and items with side features."""

from pathlib import Path

import numpy as np
import pandas as pd

USERS, ITEMS = 60, 40

EVENTS = (
    "--data", "events.csv", "--columns", "user=uid", "item=sku", "timestamp=t", "rating=stars",
    "--min-item-events", "0",
)  # fmt: skip
"""Reads the events."""

SIDES = ("--users", "users.csv", "--items", "items.csv")
"""Reads the side features too."""

SMALL = ("--dim", "8", "--epochs", "2")
"""Trains in a moment."""


def write_tiny(folder: Path) -> pd.DataFrame:
    """Writes events.csv, users.csv and items.csv, and returns the events.

    Every user has 8 to 16 events with distinct items, two at the same second.
    """
    rng = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        items = rng.choice(ITEMS, rng.integers(8, 17), replace=False)
        for place, item in enumerate(items):
            rows.append((f"u{user}", f"i{item}", 1_600_000_000 + place // 2 * 60, int(rng.integers(1, 6))))
    events = pd.DataFrame(rows, columns=["uid", "sku", "t", "stars"])
    events.to_csv(folder / "events.csv", index=False)
    users = pd.DataFrame({"uid": [f"u{user}" for user in range(USERS)]})
    users.assign(group=["a", "b", "c"] * 20, age=20.5 + np.arange(USERS)).to_csv(
        folder / "users.csv", index=False
    )
    items = pd.DataFrame({"sku": [f"i{item}" for item in range(ITEMS)]})
    items = items.assign(title=[f"Item {item}" for item in range(ITEMS)], kind=["x", "y"] * 20)
    items.to_csv(folder / "items.csv", index=False)
    return events
