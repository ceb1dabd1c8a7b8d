"""Invented movie titles: each names a place or a person that does not exist."""

import numpy as np

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
_PATTERNS = (
    "Beyond {name}",
    "The {noun} of {name}",
    "The {adjective} {noun} of {name}",
    "{name} and the {adjective} {noun}",
    "No {noun} in {name}",
    "{adjective} {name}",
    "Farewell, {name}",
    "Return to {name}",
)


def invent_titles(count: int, rng: np.random.Generator) -> list[str]:
    """Titles that differ from each other; one met before becomes a sequel.

    Args:
        count: how many.
        rng: where the choices come from.

    Example:
        >>> len(set(invent_titles(5000, np.random.default_rng(0))))
        5000
    """
    parts = (_PATTERNS, _STARTS, _ENDS, _ADJECTIVES, _NOUNS)
    chosen = (rng.integers(0, len(words), count).tolist() for words in parts)
    titles: list[str] = []
    times: dict[str, int] = {}
    for pattern, start, end, adjective, noun in zip(*chosen, strict=True):
        title = _PATTERNS[pattern].format(
            name=_STARTS[start] + _ENDS[end], adjective=_ADJECTIVES[adjective], noun=_NOUNS[noun]
        )
        times[title] = times.get(title, 0) + 1
        titles.append(title if times[title] == 1 else f"{title} {times[title]}")
    return titles
