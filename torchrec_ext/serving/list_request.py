"""ListRequest and ItemList: what a service is asked for, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchrec_ext.serving.served_event import Id


@dataclass(frozen=True)
class ListRequest:
    """A request for the best items of a user, or of an anonymous session.

    Args:
        user: the id; None for a session.
        session: item ids of an anonymous visitor, oldest first; None for a user.
        k: length of the list.
        context: the moment, such as ``{"device": "phone"}``, for a model that reads it; None if unknown.
        exclude: item ids that are left out.
        candidates: the only item ids that may be in the list; None for every item.
        filters: column of the items -> its allowed values as a list, or bounds as ``{"min": 3, "max": 5}``,
            either of which may be absent.
        exclude_seen: leaves out the items of the user's own events.
        diversity: from 0 to 1, how much the items of the list shall differ from each other.
        at_most: a column of the items and how many items of the list may have the same value there, such as
            ``("genre", 2)``; None for any number.
    """

    user: Id | None = None
    session: Sequence[Id] | None = None
    k: int = 10
    context: Mapping[str, Any] | None = None
    exclude: Sequence[Id] = ()
    candidates: Sequence[Id] | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    exclude_seen: bool = True
    diversity: float = 0.0
    at_most: tuple[str, int] | None = None


@dataclass(frozen=True)
class ItemList:
    """The answer to a :class:`ListRequest`.

    Args:
        items: ids, best first; fewer than k where fewer are left.
        scores: of the items.
        source: ``model``, or ``popular`` for somebody of whom the model knows nothing.
        bundle: name of the bundle that made it.
        probabilities: with which each item was to be at its place; all 1 without exploration.
        milliseconds: time of each step: ``history``, ``query``, ``search``, ``rank``, ``rerank``.
    """

    items: list[Id]
    scores: list[float]
    source: str
    bundle: str
    probabilities: list[float] = field(default_factory=list)
    milliseconds: Mapping[str, float] = field(default_factory=dict)
