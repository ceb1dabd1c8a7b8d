"""What the answers of the service look like in JSON."""

from pydantic import BaseModel, Field


class ScoredItem(BaseModel):
    """An item of a list."""

    item: str | int
    score: float
    title: str | None = None


class ListAnswer(BaseModel):
    """The best items, best first; fewer than k where fewer are left."""

    items: list[ScoredItem]
    source: str = Field(description="model, or popular for a user of whom the model knows nothing.")
    bundle: str = Field(description="The bundle that made the list.")
    milliseconds: dict[str, float] | None = None


class EventReason(BaseModel):
    """An event of the history, and by how much the score would fall without it."""

    item: str | int | None
    title: str | None = None
    timestamp: float
    effect: float


class ExplainAnswer(BaseModel):
    """What the score of an item owes to each event, the newest first, and to each feature."""

    score: float
    because: str = Field(description="The reason in one sentence, in English.")
    events: list[EventReason]
    fields: dict[str, float]


class EventsAnswer(BaseModel):
    """The events are durable."""

    positions: list[int] = Field(description="Of each event in the log.")


class ItemsAnswer(BaseModel):
    """The items are durable, and in lists from now on."""

    positions: list[int] = Field(description="Of each item in the log.")


class UserEvent(BaseModel):
    """An event that the model reads."""

    item: str | int | None = Field(description="None where the model does not know the item.")
    timestamp: float
    title: str | None = None


class UserAnswer(BaseModel):
    """The newest events of a user, the newest first; none of a new user."""

    user: str | int
    events: list[UserEvent]


class UsersAnswer(BaseModel):
    """Some of the users that the bundle knows."""

    users: list[str | int]


class HealthAnswer(BaseModel):
    """How the service is."""

    status: str
    bundle: str
    uptime_seconds: float
    position: int | None = Field(description="Of the newest event in the log; None if it cannot be read.")
    list_milliseconds: dict[str, float] = Field(description="p50 and p99 of the last lists.")


class ReadyAnswer(BaseModel):
    """The service can answer."""

    ready: bool


class BundleAnswer(BaseModel):
    """The bundle that answers now."""

    bundle: str


class ErrorAnswer(BaseModel):
    """What is wrong."""

    error: str
    field: str | None = Field(None, description="The field that has to change.")
    id: str | None = Field(None, description="Of an unexpected error, as the log of the service names it.")
