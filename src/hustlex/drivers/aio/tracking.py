"""Hear which keys change: ``CLIENT TRACKING`` in broadcast mode, on a connection of its own to each server with data.

Pushes say what changed, and never that one was missed: so a broken link is told at once, and until ``live`` is true
again nothing that was read may be kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hustlex.core.op import OnKeys
from hustlex.drivers.aio.connection import Connection, ReplyError
from hustlex.drivers.aio.dial import Where
from hustlex.drivers.aio.listener import Listener
from hustlex.drivers.aio.options import Options
from hustlex.drivers.faults import refusal
from hustlex.drivers.pack import join
from hustlex.errors import Error


class Invalidations:
    """What ``Driver.track`` gives; see ``core.op.Tracking``. on_silence: told when a server is dialled again, since
    another one may have its data now."""

    def __init__(
        self,
        prefixes: Sequence[str],
        on_keys: OnKeys,
        on_loss: Callable[[], None],
        options: Options,
        on_silence: Callable[[], None] = lambda: None,
    ) -> None:
        words: list[str] = [word for prefix in prefixes or ("",) for word in ("PREFIX", prefix)]
        self.wish = join(("CLIENT", "TRACKING", "ON", "BCAST", *words))
        self.on_keys = on_keys
        self._on_loss = on_loss
        self._options = options
        self.on_silence = on_silence
        self._ears: dict[str, _Ear] = {}
        self._settled = asyncio.Event()
        self.live = self.closed = False
        self.epoch = 0
        self.error: Error | None = None

    def attend(self, homes: Iterable[Where]) -> None:
        """Listen at these servers, and no others. Called again when a cluster's servers change."""
        wanted = {home.title: home for home in homes}
        for title in self._ears.keys() - wanted.keys():
            self._ears.pop(title).leave()
        for title in wanted.keys() - self._ears.keys():
            self._ears[title] = _Ear(self, wanted[title], self._options)
        self.changed()

    def changed(self) -> None:
        """One server more, or one less, is listened to."""
        live = not self.closed and bool(self._ears) and all(ear.live for ear in self._ears.values())
        if self.live and not live:
            self.live = False
            self.lose()
        self.live = live
        if live or self.error is not None or self.closed:
            self._settled.set()
        else:
            self._settled.clear()

    def lose(self) -> None:
        """What was heard so far is not all."""
        self.epoch += 1
        self._on_loss()

    async def settled(self, seconds: float) -> bool:
        """Wait until ``live`` is true or never will be, at most this long. Returns ``live``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        return self.live

    def distrust(self, since: float) -> None:
        """As ``Listener.distrust``."""
        for ear in self._ears.values():
            ear.listener.distrust(since)

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        for ear in self._ears.values():
            ear.listener.forsake()
        self.orphan()

    def orphan(self) -> None:
        """What heard for this process is gone."""
        self.live, self.closed = False, True
        self.lose()

    async def close(self) -> None:
        """Hear no more. Idempotent."""
        self.closed = True
        for ear in [*self._ears.values()]:
            await ear.listener.stop()
        self.changed()


class _Ear:
    """One server's part."""

    def __init__(self, tracking: Invalidations, where: Where, options: Options) -> None:
        self._tracking = tracking
        self._where = where
        self._stall = options.stall
        self.live = self._dialled = False
        self._left: asyncio.Task[None] | None = None
        self.listener = Listener(self, options, f"hustlex tracking {where.title}")
        self.listener.start()

    @property
    def wanted(self) -> bool:
        return self._left is None and not self._tracking.closed

    def where(self) -> Where:
        if self._dialled:
            self._tracking.on_silence()
        self._dialled = True
        return self._where

    async def begin(self, connection: Connection) -> None:
        answer = await connection.send(self._tracking.wish, asyncio.get_running_loop().time() + self._stall)
        if isinstance(answer, ReplyError):
            raise refusal(str(answer))
        self.live = True
        self._tracking.changed()

    def hear(self, push: list[Any]) -> None:
        if push[0] == b"invalidate":
            self._tracking.on_keys(push[1])

    def lost(self) -> None:
        self.live = False
        self._tracking.changed()

    def refused(self, error: Error) -> None:
        self._tracking.error = error
        self._tracking.changed()

    def leave(self) -> None:
        """This server has no data any more."""
        self._left = asyncio.get_running_loop().create_task(self.listener.stop())
