"""One step of cleaning: events leave, and the source says how many."""

import dataclasses
import logging

import numpy as np

from torchrec_ext.data.events import Events, Step
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)


def remove(events: Events, kept: np.ndarray, step: str, hint: str) -> Events:
    """The events where ``kept`` is true, the step recorded.

    Args:
        events: N events.
        kept: (N,) bool.
        step: the step and its setting.
        hint: what is there and what to do, for a step that would leave nothing.

    Raises:
        InputError: if no event is kept.
    """
    if not kept.any():
        raise InputError(f"{step} removes all events of {events.source.name}; {hint}")
    left = events if kept.all() else events.take(kept)
    return record(left, step, removed=len(events) - len(left))


def record(events: Events, step: str, removed: int = 0) -> Events:
    """The same events, their source saying what the step left.

    Args:
        events: what the step left.
        step: the step and its setting.
        removed: number of events it removed.
    """
    done = Step(step, removed, left=len(events), users=events.count("user"), items=events.count("item"))
    log.info("%s", done)
    return dataclasses.replace(
        events, source=dataclasses.replace(events.source, steps=(*events.source.steps, done))
    )
