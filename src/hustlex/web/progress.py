"""A job's progress to a browser: its reports as server-sent events, and an end that stays one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.errors import Misuse, NotFound
from hustlex.jobs import Enqueued, Log, Progress, Result, State, StateChange
from hustlex.jobs.stream.types import Item
from hustlex.web.problem import Problem
from hustlex.web.rights import HEARTBEAT
from hustlex.web.sse import Authorize, Framed, sse_response

_LOOK_S = 0.25
"""How long a browser that comes back waits to hear that there is nothing more."""
_OVER = (State.COMPLETED, State.ARCHIVED, None)


@answering
async def progress_response(
    request: Request,
    front: HustleX,
    task: str | Enqueued[Any],
    *,
    queue: str = "default",
    authorize: Authorize | None,
    results: bool = False,
    heartbeat: timedelta = HEARTBEAT,
) -> Response:
    """Answer with what a job tells: ``return await progress_response(request, hx, task_id, authorize=None)``.

    task: a handle, or an id in ``queue``. authorize, heartbeat: as in ``sse_response``.
    Events are ``progress`` ({"fraction": 0.5, "text": "rising"}), ``log`` ({"text"}), ``state`` ({"state": "active"};
    null: it is gone), and with ``results`` ``result`` (its JSON). Texts of errors are not sent. Each has its position
    for an id, so a browser that comes back goes on behind the last one; after the end it is answered 204, which stops
    it. A job that left no trace is 404. Raises Misuse.
    """
    check.instance("request", request, Request)
    check.instance("front", front, HustleX)
    if authorize is not None:
        check.function("authorize", authorize)
    check.duration("heartbeat", heartbeat, timedelta(milliseconds=1))
    check.flag("results", results)
    if not hasattr(task, "queue"):
        check.text("task", task)
    check.text("queue", queue)
    if authorize is not None and not await authorize(request):
        return Response(status_code=204)
    since = request.headers.get("last-event-id", "")
    try:
        following = Following(front.jobs.follow(task, queue=queue, since=since), results)
        over = await following.looks_over() if since else await following.has_begun()
    except Misuse:
        raise Problem(422, detail="Last-Event-ID is no position of this job.") from None
    except NotFound:
        raise Problem(404, detail="There is no such job, or nothing is left of it.") from None
    if over:
        await following.close()
        return Response(status_code=204)
    return await sse_response(request, following.opened(), authorize=None, heartbeat=heartbeat)


class Following:
    """A job's items as events. A look that is given up (for a heartbeat) is taken up again by the next one."""

    def __init__(self, items: AsyncGenerator[Item, None], results: bool) -> None:
        self._items = items
        self._results = results
        self._looking: asyncio.Future[Item] | None = None

    async def has_begun(self) -> bool:
        """Wait for the first item, which every job has. Always False; raises what following raises."""
        await asyncio.wait([self._look()])
        if self._look().exception() is not None:
            self._look().result()
        return False

    async def looks_over(self) -> bool:
        """Whether nothing comes behind the position but the end."""
        await asyncio.wait([self._look()], timeout=_LOOK_S)
        if not self._look().done():
            return False
        error = self._look().exception()
        if isinstance(error, StopAsyncIteration | NotFound):
            return True
        item = self._look().result()
        return isinstance(item, StateChange) and item.state in _OVER

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AsyncIterator[Framed]]:
        """The events, left however it ends."""
        try:
            yield self
        finally:
            await self.close()

    def __aiter__(self) -> AsyncIterator[Framed]:
        return self

    async def __anext__(self) -> Framed:
        while True:
            item = await asyncio.shield(self._look())
            self._looking = None
            if self._results or not isinstance(item, Result):
                return _framed(item)

    async def close(self) -> None:
        """Stop following."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        with contextlib.suppress(Exception):
            await self._items.aclose()

    def _look(self) -> asyncio.Future[Item]:
        if self._looking is None:
            self._looking = asyncio.ensure_future(anext(self._items))
        return self._looking


def _framed(item: Item) -> Framed:
    match item:
        case Progress():
            return Framed(item.position, "progress", _json({"fraction": item.fraction, "text": item.text}))
        case Log():
            return Framed(item.position, "log", _json({"text": item.text}))
        case Result():
            return Framed(item.position, "result", _as_json(item.data))
        case StateChange():
            return Framed(item.position, "state", _json({"state": item.state}))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _as_json(data: bytes) -> str:
    """A result that is JSON as it is; of another kind nothing can be shown."""
    try:
        return _json(msgspec.Raw(msgspec.json.encode(msgspec.json.decode(data))))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "null"
