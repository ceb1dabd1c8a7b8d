"""One step of cleaning, recorded in the source of the events."""

import dataclasses
import logging

from torchrec_ext.data.events import Events
from torchrec_ext.data.source import Step

log = logging.getLogger(__name__)


def record(events: Events, step: str, removed: int = 0) -> Events:
    """The events that a step left, their source saying how many it removed."""
    done = Step(step, removed, left=len(events), users=events.count("user"), items=events.count("item"))
    log.info("%s", done)
    source = dataclasses.replace(events.source, steps=(*events.source.steps, done))
    return dataclasses.replace(events, source=source)
