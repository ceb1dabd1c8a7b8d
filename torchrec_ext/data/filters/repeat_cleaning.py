"""repeat_cleaning(): cleans events as others were cleaned, from the calls their source records."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torchrec_ext.data.events import Events
from torchrec_ext.data.filters.clean import clean
from torchrec_ext.data.filters.sessions import sessions
from torchrec_ext.data.freshness import freshness
from torchrec_ext.data.recorded_calls import arguments_of

_STEPS: dict[str, Callable[..., Events]] = {
    "clean": clean,
    "sessions": sessions,
    "freshness": freshness,
}
_COUNTS = ("min_user_events", "min_item_events", "k_core")


def repeat_cleaning(events: Events, calls: Iterable[Mapping[str, Any]], counts: bool = True) -> Events:
    """The events after the cleaning that recorded calls, of ``Source.calls``, describe.

    Without ``counts``, users and items with few events stay: that limit decides what is learnt alone.
    """
    for call in calls:
        if call["call"] in _STEPS:
            step = _STEPS[call["call"]]
            arguments = arguments_of(call, step)
            kept = {name: value for name, value in arguments.items() if counts or name not in _COUNTS}
            events = step(events, **kept)
    return events
