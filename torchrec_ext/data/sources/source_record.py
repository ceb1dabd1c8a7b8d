"""The record of where events came from, and what their timestamps are."""

import hashlib
import json
import logging
from dataclasses import replace

import numpy as np

from torchrec_ext.data.by_user_and_time import by_user_and_time
from torchrec_ext.data.content import Content
from torchrec_ext.data.events import Events
from torchrec_ext.data.source import Order, Source, Step

log = logging.getLogger(__name__)


def source_record(events: Events, checksums: dict[str, str], declared: Order | None) -> Source:
    """The source of events with what they show themselves: order, ties, checksum and rows set aside.

    ``checksums`` are those of the files; without a ``declared`` order the timestamps tell it.
    """
    events.release_pages()
    times, left, rows = events.ticks, len(events), events.source.rows
    users = events.codes("user") if "user" in events.columns else np.zeros(left, np.int32)
    order: Order = "none"
    ties = 0
    if times is not None:
        shown, ties = _order_of(users, times)
        order = declared or shown
    events.release_pages()
    steps: tuple[Step, ...] = ()
    if rows > left:
        steps = (Step("rows set aside", rows - left, left, events.count("user"), events.count("item")),)
    first = next(iter(checksums.values()), None)
    source = replace(
        events.source,
        sha256=first or hashlib.sha256(json.dumps(Content(events)["events"]).encode()).hexdigest(),
        files=checksums,
        order=order,
        ties=ties,
        steps=steps,
    )
    log.info("%s: %s rows, %s", source.name, f"{rows:,}", source.ordering)
    return source


def _order_of(users: np.ndarray, times: np.ndarray) -> tuple[Order, int]:
    """What timestamps are, and how many events share user and timestamp with another.

    They are places in a history if they are whole numbers, none is above the number of its user's events,
    and few are equal.
    """
    ties = _ties(users, times)
    if times.min() < 0 or times.max() > len(times) or ties > 0.1 * len(times):
        return "time", ties
    counts = np.bincount(users)
    places = bool((times == np.floor(times)).all()) and bool((times <= counts[users]).all())
    return ("order" if places else "time"), ties


def _ties(users: np.ndarray, times: np.ndarray) -> int:
    if bool((times[1:] >= times[:-1]).all()):  # then ties are among neighbours of equal time
        rows = _beside_another(times[1:] == times[:-1])
        users, times = users[rows], times[rows]
    order = by_user_and_time(users, times)
    users, times = users[order], times[order]
    return int(_beside_another((users[1:] == users[:-1]) & (times[1:] == times[:-1])).sum())


def _beside_another(same: np.ndarray) -> np.ndarray:
    """(N,) whether each of N values equals a neighbour, from whether each but the last equals the next."""
    return np.append(same, False) | np.append(False, same)
