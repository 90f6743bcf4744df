"""Jobs that a socket follows as if they were channels: what they tell, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from hustlex.app import HustleX
from hustlex.errors import Misuse, NotFound
from hustlex.web.frames import BAD_REQUEST, UNKNOWN_CHANNEL, CommandRefused
from hustlex.web.progress import Following
from hustlex.web.sse import Framed

_QUEUE = "default"


class JobChannels:
    """Of one socket. send: a frame to the client, in its turn. lost: set when a job cannot be followed any more, so
    that the client has to come back."""

    def __init__(self, front: HustleX, send: Callable[[Any], Awaitable[None]], *, results: bool) -> None:
        self._front = front
        self._send = send
        self._results = results
        self._following: dict[str, tuple[Following, asyncio.Task[None]]] = {}
        self.lost = asyncio.Event()

    async def join(self, name: str, values: dict[str, str], since: str) -> None:
        """Tell of a job from here on, or from behind a position. Raises CommandRefused."""
        queue = values.get("queue", _QUEUE)
        try:
            items = self._front.jobs.follow(values["task_id"], queue=queue, since=since)
            following = Following(items, self._results)
            await (following.looks_over() if since else following.has_begun())
        except Misuse:
            raise CommandRefused(*BAD_REQUEST) from None
        except NotFound:
            raise CommandRefused(*UNKNOWN_CHANNEL) from None
        self._following[name] = following, asyncio.create_task(self._tell(name, following))

    async def _tell(self, name: str, following: Following) -> None:
        try:
            async for framed in following:
                await self._send({"push": {"ch": name, "ts": 0, "e": framed.id, "o": 0, "data": _data(framed)}})
        except NotFound:
            pass  # over, and nothing is left of it
        except Exception:  # noqa: BLE001 - the client comes back, and is told then
            self.lost.set()

    async def leave(self, name: str) -> None:
        """Follow it no more. Idempotent."""
        found = self._following.pop(name, None)
        if found is not None:
            following, task = found
            task.cancel()
            await asyncio.wait({task})
            await following.close()

    async def close(self) -> None:
        """Leave all."""
        for name in [*self._following]:
            await self.leave(name)


def _data(framed: Framed) -> dict[str, Any]:
    """``{"type": "progress", "fraction": 0.5, "text": "half"}``; of a result ``{"type": "result", "result": ...}``."""
    told = msgspec.json.decode(framed.data)
    return {"type": framed.event, **({"result": told} if framed.event == "result" else told)}
