"""The routes of a service."""

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from torchrec_ext.errors import InputError
from torchrec_ext.serving.event_store import StoreError
from torchrec_ext.serving.http import answers, bodies
from torchrec_ext.serving.http.errors import error_answer, overloaded
from torchrec_ext.serving.http.live_lists import LiveLists, Titled
from torchrec_ext.serving.http.metrics import Metrics
from torchrec_ext.serving.http.micro_batches import MicroBatches
from torchrec_ext.serving.list_request import ListRequest
from torchrec_ext.serving.new_item import NewItem
from torchrec_ext.serving.served_event import ServedEvent
from torchrec_ext.serving.stages import MOST_ITEMS

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": answers.ErrorAnswer, "description": words}
    for status, words in {
        401: "The token is missing.",
        404: "What the URL names is not known.",
        408: "The body did not arrive in time.",
        409: "Another bundle is being opened.",
        413: "The body is too large.",
        422: "A field should be another.",
        503: "Not now; come again.",
    }.items()
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _ERRORS[status] for status in sorted({401, 422, 503, *statuses})}


def model_routes(lists: LiveLists, recommend: MicroBatches[ListRequest, Titled]) -> APIRouter:
    """What the model and the histories answer."""
    router = APIRouter(tags=["lists"])

    @router.post("/recommend", responses=_errors(408, 413))
    async def best_items(body: bodies.ListBody) -> answers.ListAnswer:
        """The best items for a user, or for an anonymous session."""
        begin = time.perf_counter()
        found, titles = await recommend(body.request())
        answer = _list_answer(found, titles)
        if body.timings:
            total = 1000 * (time.perf_counter() - begin)
            waiting = max(0.0, total - sum(found.milliseconds.values()))
            answer.milliseconds = {"waiting": waiting, **found.milliseconds}
        return answer

    @router.post("/explain", responses=_errors(408, 413))
    async def why_an_item(body: bodies.ExplainBody) -> answers.ExplainAnswer:
        """What the score of an item owes to each event of the history, and to each feature."""
        request = ListRequest(user=body.user, session=body.session, context=body.context)
        found, events, why = await run_in_threadpool(lists.explain, request, body.item)
        reasons = [
            answers.EventReason(item=item, timestamp=at, title=title, effect=effect)
            for (item, at, title), effect in zip(events, found.events, strict=True)
        ]
        return answers.ExplainAnswer(
            score=found.score, because=why, events=reasons[::-1], fields=dict(found.fields)
        )

    @router.get("/similar/{item:path}", responses=_errors(404))
    async def similar_items(
        item: Annotated[str, Path(min_length=1)], k: Annotated[int, Query(ge=1, le=MOST_ITEMS)] = 10
    ) -> answers.ListAnswer:
        """The nearest other items of an item."""
        return _list_answer(*await run_in_threadpool(lists.similar, item, k))

    @router.get("/users", responses=_errors())
    async def some_users(count: Annotated[int, Query(ge=1, le=MOST_ITEMS)] = 20) -> answers.UsersAnswer:
        """Some users of the bundle, to begin with."""
        return answers.UsersAnswer(users=await run_in_threadpool(lists.some_users, count))

    @router.get("/users/{user:path}", responses=_errors(404))
    async def newest_events(user: Annotated[str, Path(min_length=1)]) -> answers.UserAnswer:
        """The newest events of a user that the model reads."""
        own, events = await run_in_threadpool(lists.history, user)
        return answers.UserAnswer(
            user=own,
            events=[answers.UserEvent(item=i, timestamp=at, title=title) for i, at, title in events],
        )

    return router


def event_routes(add: MicroBatches[list[ServedEvent], list[int]], metrics: Metrics) -> APIRouter:
    """The log of events."""
    router = APIRouter(tags=["events"])

    @router.post("/events", responses=_errors(408, 413))
    async def add_events(body: bodies.EventsBody) -> answers.EventsAnswer:
        """Stores one event or several, and answers once they are durable."""
        several, events = isinstance(body, list), []
        for index, event in enumerate(body if isinstance(body, list) else [body]):
            try:
                events.append(event.event())
            except InputError as error:
                raise InputError(f"[{index}].{error}" if several else str(error)) from None
        positions = await add(events)
        metrics.events.inc(len(positions))
        return answers.EventsAnswer(positions=positions)

    return router


def item_routes(add: MicroBatches[list[NewItem], list[int]], metrics: Metrics) -> APIRouter:
    """The catalogue."""
    router = APIRouter(tags=["items"])

    @router.post("/items", responses=_errors(408, 413))
    async def add_items(body: bodies.ItemsBody) -> answers.ItemsAnswer:
        """Adds one item or several, and answers once they are durable and in lists.

        The columns of a known item are replaced.
        """
        several = isinstance(body, list)
        items = [item.new_item() for item in (body if isinstance(body, list) else [body])]
        try:
            positions = await add(items)
        except InputError as error:
            raise InputError(str(error).removeprefix("items" if several else "items[0].")) from None
        metrics.items.inc(len(positions))
        return answers.ItemsAnswer(positions=positions)

    return router


def state_routes(lists: LiveLists, metrics: Metrics, with_token: bool) -> APIRouter:
    """What the service says of itself, and another bundle for it."""
    router, service, begin, swapping = APIRouter(tags=["service"]), lists.service, time.time(), asyncio.Lock()

    @router.get("/health")
    async def health() -> answers.HealthAnswer:
        """Which bundle answers, for how long the service has been up, and where the log stands."""
        try:
            position = await run_in_threadpool(lambda: service.store.position)
        except StoreError:
            position = None
        return answers.HealthAnswer(
            status="ok" if position is not None else "the event log cannot be read",
            bundle=service.bundle,
            uptime_seconds=round(time.time() - begin, 3),
            position=position,
            list_milliseconds=metrics.list_milliseconds(),
        )

    @router.get("/ready", responses={503: _ERRORS[503]}, response_model=answers.ReadyAnswer)
    async def ready() -> answers.ReadyAnswer | Response:
        """Whether the service can answer now."""
        try:
            await run_in_threadpool(lambda: service.store.position)
        except StoreError as error:
            return overloaded(str(error))
        return answers.ReadyAnswer(ready=True)

    @router.get("/metrics", response_class=PlainTextResponse, responses={401: _ERRORS[401]})
    async def metrics_text() -> Response:
        """Metrics in the format of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    if with_token:

        @router.post("/bundle", responses=_errors(408, 409, 413), response_model=answers.BundleAnswer)
        async def swap_bundle(body: bodies.BundleBody) -> answers.BundleAnswer | Response:
            """Answers with another bundle from now on; requests go on meanwhile with the one before."""
            if swapping.locked():
                return error_answer(409, "another bundle is being opened; come again")
            async with swapping:
                return answers.BundleAnswer(bundle=await run_in_threadpool(lists.swap, body.bundle))

    return router


def _list_answer(found: Any, titles: list[str | None]) -> answers.ListAnswer:
    items = [
        answers.ScoredItem(item=item, score=score, title=title)
        for item, score, title in zip(found.items, found.scores, titles, strict=True)
    ]
    return answers.ListAnswer(items=items, source=found.source, bundle=found.bundle)
