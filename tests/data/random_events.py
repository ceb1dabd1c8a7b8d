"""Small tables of events for properties: few users, many ties."""

import pandas as pd
from hypothesis import strategies as st

from torchrec_ext.data import Events, read_events

START = 1_000_000_000


def event_rows(least: int = 1) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    """Rows of user, item and time, of which simultaneous ones are common."""
    return st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(1, 5), st.integers(START, START + 4)),
        min_size=least,
        max_size=24,
    )


def read(rows: list[tuple]) -> Events:
    """Events of rows (user, item, time, rating), of which the last columns may be absent."""
    names = ["user", "item", "timestamp", "rating"][: len(rows[0])]
    return read_events(pd.DataFrame(rows, columns=names))
