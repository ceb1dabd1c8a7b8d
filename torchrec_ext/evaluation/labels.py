"""Labels of a ranker's evaluation in words."""

from torchrec_ext.data.batching.labelled_events import LabelledEvents


def in_words(examples: LabelledEvents, positive: float) -> str:
    """How the labels were made, and how many events have none, for the protocol."""
    words = f"labels: rating >= {positive:g}"
    if examples.unrated:
        words += f", {examples.unrated:,} events without a rating left out"
    return words
