"""Labels of a ranker's evaluation in words."""

from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.positive import Positive, tasks_of


def in_words(examples: LabelledEvents, positive: Positive) -> str:
    """How the labels were made, and how many events have none, for the protocol."""
    column, least = tasks_of(positive)[0]
    words = f"labels: {column} >= {least:g}"
    if examples.unrated:
        words += f", {examples.unrated:,} events without a {column} left out"
    return words
