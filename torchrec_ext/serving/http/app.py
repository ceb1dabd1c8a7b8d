"""create_app(): a service as an application of FastAPI."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

import torchrec_ext
from torchrec_ext.checks import expect_at_least
from torchrec_ext.serving.http.access import OriginCheck, TokenCheck
from torchrec_ext.serving.http.answers import ErrorAnswer
from torchrec_ext.serving.http.errors import UnexpectedErrors, add_error_handlers
from torchrec_ext.serving.http.limits import BodyLimit, InFlight, Places
from torchrec_ext.serving.http.live_lists import LiveLists, Titled
from torchrec_ext.serving.http.metrics import MeasuredRequests, Metrics
from torchrec_ext.serving.http.micro_batches import MicroBatches
from torchrec_ext.serving.http.pages import page_routes
from torchrec_ext.serving.http.routes import event_routes, item_routes, model_routes, state_routes
from torchrec_ext.serving.list_request import ListRequest
from torchrec_ext.serving.new_item import NewItem
from torchrec_ext.serving.served_event import ServedEvent
from torchrec_ext.serving.service import Service

MAX_IN_FLIGHT = 4
"""Of lists, and of requests with events; with more, overload lengthens the times of those accepted."""
MAX_BODY_BYTES = 1_000_000


def create_app(
    service: Service,
    *,
    token: str | None = None,
    bundles: str | Path | None = None,
    swap: Callable[[Path], None] | None = None,
    max_in_flight: int = MAX_IN_FLIGHT,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """The routes of a service, with its limits, its metrics and a page; ``/docs`` lists them.

    The app starts three threads, for lists, for events and for items, and ends them with its lifespan. It
    does not close the store of the service.

    Args:
        service: answers.
        token: which every request needs but those to ``/health`` and ``/ready``; None lets everybody in but
            pages of other sites.
        bundles: folder of the bundles that ``POST /bundle`` may swap in, which needs a token; None for none.
        swap: makes the service answer with the bundle of a folder, for one with an index or a ranker of its
            own; None for :meth:`~torchrec_ext.serving.Service.swap`.
        max_in_flight: requests that are answered at a time, four times as many with events and with items
            each; others get 503 at once.
        max_body_bytes: of a request; a larger one gets 413.

    Raises:
        InputError: for a limit below 1.

    Example:
        >>> import tempfile, pandas as pd, torchrec_ext as tx
        >>> from fastapi.testclient import TestClient
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdae")})
        >>> train, valid, _ = tx.data.leave_last_out(events := tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=4, encoder="gru")
        >>> trained = tx.training.fit(model, train, epochs=1, progress=False)
        >>> folder = Path(tempfile.mkdtemp())
        >>> bundle = tx.serving.export(trained, folder / "bundle", events=events)
        >>> with tx.serving.SqliteEventStore(folder / "events.sqlite") as store:
        ...     app = create_app(Service(bundle, store))
        ...     with TestClient(app) as client:
        ...         stored = client.post("/events", json={"user": "new", "item": "a"}).json()
        ...         found = client.post("/recommend", json={"user": "new", "k": 2}).json()
        >>> stored, found["source"], len(found["items"])
        ({'positions': [1]}, 'model', 2)
    """
    expect_at_least(1, max_in_flight=max_in_flight, max_body_bytes=max_body_bytes)
    metrics = Metrics()
    lists = LiveLists(service, None if bundles is None else Path(bundles), swap)
    recommend: MicroBatches[ListRequest, Titled] = MicroBatches(
        lists.recommend_many, observe=metrics.batch_size.observe
    )
    add: MicroBatches[list[ServedEvent], list[int]] = MicroBatches(lists.add_many)
    add_items: MicroBatches[list[NewItem], list[int]] = MicroBatches(lists.add_items_many)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with recommend, add, add_items:
            yield

    app = FastAPI(
        title="Recommendations",
        version=torchrec_ext.__version__,
        description="Lists from a trained model, and the events that change them.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses={}
        if token
        else {403: {"model": ErrorAnswer, "description": "A page of another site asks."}},
    )
    add_error_handlers(app)
    app.include_router(model_routes(lists, recommend))
    app.include_router(event_routes(add, metrics))
    app.include_router(item_routes(add_items, metrics))
    app.include_router(state_routes(lists, metrics, with_token=token is not None))
    app.include_router(page_routes())
    places = Places(max_in_flight)
    app.add_middleware(InFlight, places=places)  # the innermost first
    app.add_middleware(
        BodyLimit, most_bytes=max_body_bytes, places=places
    )  # a slow body takes nobody's place
    if token is None:
        app.add_middleware(OriginCheck)
    else:
        app.add_middleware(TokenCheck, token=token)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(MeasuredRequests, metrics=metrics)
    return app
